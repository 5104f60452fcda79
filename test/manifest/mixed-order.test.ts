/**
 * A signer may add a point of small order to R. Whether such a signature holds depends on the cofactor (RFC 8032 leaves
 * it open): noble says yes, OpenSSL no. What verifies in a page must verify in Node, so both doors refuse it.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { Point } from "@noble/ed25519"
import { enrolKey, verifyEd25519WithNoble, verifyEd25519WithNode, verifySignature } from "@weighlock/manifest"
import { eighth, mixedOrderKey, signatureWith } from "../support/mixed-order.ts"

const message = new TextEncoder().encode("models.acme.example")
const key = enrolKey("ed25519", mixedOrderKey)

test("without an extra point it is a signature", () => {
  const plain = signatureWith(Point.ZERO, message)
  assert.ok(verifySignature(key, plain, message))
  assert.ok(verifyEd25519WithNoble(key.bytes, plain, message))
})

let extra = Point.ZERO
for (let times = 1; times < 8; times++) {
  extra = extra.add(eighth)
  const signature = signatureWith(extra, message)
  test(`refused by each verifier: R plus ${times} times a point of order 8`, () => {
    assert.equal(verifyEd25519WithNoble(key.bytes, signature, message), false)
    assert.equal(verifyEd25519WithNode(key.spki, signature, message), false)
    assert.equal(verifySignature(key, signature, message), false)
  })
}

test("eight times the point is none", () => {
  assert.ok(extra.add(eighth).equals(Point.ZERO))
})
