import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import fc from "fast-check"
import { emptyRoot, encodeHex, equalHashes, GrowingTree, hashChildren, hashLeaf } from "@weighlock/tlog"
import { naiveLeaf, naiveRoot } from "./naive-tree.ts"

const malformed = { code: "MALFORMED" }

test("the hashes of RFC 6962 that everyone's tests know", () => {
  assert.equal(encodeHex(emptyRoot()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  assert.equal(
    encodeHex(hashLeaf(new Uint8Array(0))),
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  )
  assert.equal(
    encodeHex(hashChildren(hashLeaf(new Uint8Array(0)), hashLeaf(Uint8Array.of(0)))),
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
  )
})

test("entries of any length hash as SHA-256(0x00 || entry), whatever was hashed before", () => {
  for (const length of [0, 1, 4094, 4095, 4096, 4097, 65_535, 200_000, 5]) {
    const entry = new Uint8Array(length).fill(length)
    assert.deepEqual(hashLeaf(entry), naiveLeaf(entry))
  }
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (entry, right) => {
      const left = hashLeaf(entry)
      assert.deepEqual(left, naiveLeaf(entry))
      assert.deepEqual(hashChildren(left, right), naiveRoot([left, right]))
    }),
  )
})

test("a hash is a Uint8Array of its own, also for a Buffer", () => {
  const hash = hashLeaf(Buffer.from("entry"))
  assert.equal(Object.getPrototypeOf(hash), Uint8Array.prototype)
  assert.equal(hash.buffer.byteLength, 32)
})

test("what is not 32 bytes is no child and equals nothing", () => {
  const hash = emptyRoot()
  for (const bad of [new Uint8Array(0), hash.subarray(1), Uint8Array.of(...hash, 0)]) {
    assert.throws(() => hashChildren(bad, hash), malformed)
    assert.throws(() => hashChildren(hash, bad), malformed)
    assert.equal(equalHashes(bad, hash), false)
    assert.equal(equalHashes(bad, bad), false)
  }
  assert.equal(equalHashes(hash, emptyRoot()), true)
  for (let bit = 0; bit < 256; bit++) {
    const flipped = Uint8Array.from(hash)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    assert.equal(equalHashes(hash, flipped), false)
  }
})

test("without node:crypto the same hashes come from @noble/hashes", () => {
  const program = `
    if (process.argv[1] === "without") process.getBuiltinModule = undefined
    const { GrowingTree, hashLeaf, encodeHex } = await import("@weighlock/tlog")
    const tree = new GrowingTree()
    for (let at = 0; at < 300; at++) tree.append(hashLeaf(new Uint8Array(at * 37).fill(at)))
    console.log(encodeHex(tree.root()))
    console.log((await import(${JSON.stringify(new URL("../../packages/tlog/src/node-crypto.ts", import.meta.url).href)})).nodeCrypto === null)
  `
  const tree = new GrowingTree()
  for (let at = 0; at < 300; at++) tree.append(hashLeaf(new Uint8Array(at * 37).fill(at)))
  for (const mode of ["with", "without"]) {
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", program, mode], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    })
    assert.equal(stdout, `${encodeHex(tree.root())}\n${mode === "without"}\n`, stderr)
  }
})
