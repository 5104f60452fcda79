/** Wycheproof's Ed25519 verdicts through the public door: enrol the key, then verify. A refused key is a refused signature. */
import assert from "node:assert/strict"
import { existsSync, readFileSync } from "node:fs"
import { test } from "node:test"
import {
  enrolKey,
  type PublicKey,
  verifyEd25519WithNoble,
  verifyEd25519WithNode,
  verifySignature,
} from "@weighlock/manifest"

interface Vectors {
  readonly numberOfTests: number
  readonly testGroups: readonly {
    readonly publicKey: { readonly pk: string }
    readonly tests: readonly { tcId: number; comment: string; msg: string; sig: string; result: "valid" | "invalid" }[]
  }[]
}

const path = new URL("../../../shared/vectors/wycheproof-ed25519.json", import.meta.url)
const skip = existsSync(path) ? false : "not checked: no vectors"
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"))

function enrol(pk: string): PublicKey | null {
  try {
    return enrolKey("ed25519", hex(pk))
  } catch (error) {
    assert.equal((error as { code: string }).code, "KEY_WEAK")
    return null
  }
}

test("Wycheproof Ed25519: every verdict, and both verifiers say the same", { skip }, () => {
  const { testGroups, numberOfTests } = JSON.parse(readFileSync(path, "utf8")) as Vectors
  let agreed = 0
  for (const { publicKey, tests } of testGroups) {
    const key = enrol(publicKey.pk)
    for (const { tcId, comment, msg, sig, result } of tests) {
      const [signature, message] = [hex(sig), hex(msg)]
      const verdict = key !== null && verifySignature(key, signature, message)
      assert.equal(verdict, result === "valid", `case ${tcId}: ${comment}`)
      if (key !== null) {
        const noble = verifyEd25519WithNoble(key.bytes, signature, message)
        assert.equal(noble, verifyEd25519WithNode(key.spki, signature, message), `case ${tcId}: noble and node`)
      }
      agreed++
    }
  }
  assert.equal(agreed, numberOfTests)
  assert.equal(agreed, 151)
})
