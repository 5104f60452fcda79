import assert from "node:assert/strict"
import { test } from "node:test"
import { Point } from "@noble/ed25519"
import {
  ed25519CosignatureType,
  ed25519Type,
  formatVkey,
  mldsa44CosignatureType,
  noteVerifier,
  parseVkey,
} from "@weighlock/tlog"
import { eighth, mixedOrderKey } from "../support/mixed-order.ts"
import { mangled } from "./manglings.ts"
import { logSigner, quantumWitness, witness } from "./signers.ts"

const example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

test("the example of the specification, and a key of each type", () => {
  assert.equal(parseVkey(example)?.id, "530d903a")
  const keys = [example, logSigner().vkey, witness("w.example").vkey, quantumWitness("q.example").vkey]
  const types = [ed25519Type, ed25519Type, ed25519CosignatureType, mldsa44CosignatureType]
  for (const [at, vkey] of keys.entries()) {
    const key = parseVkey(vkey)
    assert.ok(key !== null)
    assert.equal(key.type, types[at])
    assert.equal(formatVkey(key.name, key.publicKey, key.type), vkey)
  }
})

test("no mangled verifier key is one", () => {
  for (const bad of mangled(example)) assert.equal(parseVkey(bad), null, JSON.stringify(bad))
})

test("unknown types and keys of another length", () => {
  for (const [type, length] of [
    [1, 31],
    [1, 33],
    [1, 1312],
    [4, 1312],
    [6, 32],
    [6, 1311],
    [2, 32],
    [5, 32],
    [0xff, 32],
    [0, 32],
    [257, 32],
  ] as const) {
    assert.throws(() => formatVkey("name", new Uint8Array(length), type), RangeError, `${type} ${length}`)
  }
})

test("keys under which a stranger's signature may verify make no verifier", () => {
  const small = eighth.toBytes()
  const mixed = Point.fromBytes(Uint8Array.from(mixedOrderKey)).add(eighth).toBytes()
  const notOnTheCurve = new Uint8Array(32).fill(2)
  const notCanonical = new Uint8Array(32).fill(0xff)
  for (const type of [ed25519Type, ed25519CosignatureType]) {
    for (const point of [small, mixed, notOnTheCurve, notCanonical, new Uint8Array(32)]) {
      assert.throws(() => noteVerifier(formatVkey("name", point, type)), { code: "MALFORMED" })
    }
  }
  assert.throws(() => noteVerifier("none"), { code: "MALFORMED" })
})
