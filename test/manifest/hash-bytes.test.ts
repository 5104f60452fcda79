/** Bytes that come from elsewhere are hashed as files are: whole and parts, exactly as many as were announced. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { after, test } from "node:test"

import { HashPool } from "@weighlock/manifest/node"
import { tempFolder } from "../support/temp.ts"

const pool = new HashPool(2)
after(() => pool.close())
const mib = 2 ** 20
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

async function* chunks(bytes: Uint8Array, size: number, fail?: Error): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  if (fail) throw fail
}

for (const [size, chunk] of [
  [0, 1],
  [1, 1],
  [1000, 7],
  [8 * mib, 65_537],
  [8 * mib + 1, 65_536],
  [20_000_000, 3 * mib],
] as const) {
  test(`${size} bytes in chunks of ${chunk}`, async () => {
    const bytes = randomBytes(size)
    const { digest, parts, ...rest } = await pool.hashBytes(chunks(bytes, chunk), size, { parts: true })
    assert.deepEqual([digest, rest.size], [sha256(bytes), size])
    const expected = Array.from({ length: Math.ceil(size / (8 * mib)) }, (_, i) =>
      sha256(bytes.subarray(i * 8 * mib, (i + 1) * 8 * mib)),
    )
    assert.deepEqual(parts, size > 8 * mib ? expected : undefined)
  })
}

test("fewer or more than announced are refused, what the source throws is thrown on, and the pool goes on", async () => {
  const bytes = randomBytes(9 * mib)
  for (let i = 0; i < 40; i++) {
    for (const size of [bytes.length - 1, bytes.length + 1])
      await assert.rejects(pool.hashBytes(chunks(bytes, mib), size), { code: "FILE_CHANGED" })
    const fault = new Error("gone")
    await assert.rejects(pool.hashBytes(chunks(bytes, mib, fault), bytes.length + 1, { parts: true }), fault)
  }
  assert.equal((await pool.hashBytes(chunks(bytes, mib), bytes.length)).digest, sha256(bytes))
})

for (const size of [0, 1000, 65_536, 65_537, 5 * mib + 3]) {
  test(`what is kept of ${size} bytes is what the digest is of: in order, each block once, one at a time`, async () => {
    const bytes = randomBytes(size)
    const kept: Uint8Array[] = []
    let [at, running] = [0, 0]
    const keep = async (block: Uint8Array, offset: number): Promise<void> => {
      assert.deepEqual([offset, ++running], [at, 1])
      at += block.length
      await new Promise((resolve) => setTimeout(resolve, 5))
      kept.push(Uint8Array.from(block))
      running--
    }
    const { digest } = await pool.hashBytes(chunks(bytes, 65_536), size, { keep })
    assert.deepEqual([digest, sha256(Buffer.concat(kept)), running], [sha256(bytes), sha256(bytes), 0])
  })
}

test("what cannot be kept ends the hashing with its error; nothing is kept after that, and the pool goes on", async () => {
  const bytes = randomBytes(40 * mib)
  for (let i = 0; i < 10; i++) {
    const fault = new Error("disk full")
    let after = 0
    const keep = async (_: Uint8Array, offset: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      if (offset > 4 * mib) after++
      if (offset === 4 * mib) throw fault
    }
    await assert.rejects(pool.hashBytes(chunks(bytes, mib), bytes.length, { keep }), fault)
    assert.equal(after, 0)
  }
  assert.equal((await pool.hashBytes(chunks(bytes, mib), bytes.length)).digest, sha256(bytes))
})

test("a range of an open file is those bytes; one that reaches past its end is refused", async (t) => {
  const bytes = randomBytes(3 * mib)
  const path = join(tempFolder(t), "x")
  writeFileSync(path, bytes)
  const file = await open(path)
  t.after(() => file.close())
  for (const [start, size] of [
    [0, bytes.length],
    [5, 100],
    [mib + 1, mib],
  ] as const)
    assert.equal((await pool.hashRange(file, { start, size })).digest, sha256(bytes.subarray(start, start + size)))
  for (const start of [1, 3 * mib])
    await assert.rejects(pool.hashRange(file, { start, size: bytes.length }), { code: "FILE_CHANGED" })
})

test("what the system says of a file that cannot be read is thrown on, and the pool goes on", async (t) => {
  const path = join(tempFolder(t), "x")
  writeFileSync(path, new Uint8Array(mib))
  const file = await open(path, "a") // not for reading
  t.after(() => file.close())
  for (const keep of [undefined, () => undefined])
    await assert.rejects(pool.hashRange(file, { start: 0, size: mib }, keep === undefined ? {} : { keep }), {
      code: "EBADF",
      syscall: "read",
      message: "EBADF: bad file descriptor, read",
    })
  const bytes = randomBytes(mib)
  assert.equal((await pool.hashBytes(chunks(bytes, mib), mib)).digest, sha256(bytes))
})

test("flags of the program that imports it do not reach the threads", () => {
  const script = `
import { HashPool } from ${JSON.stringify(import.meta.resolve("@weighlock/manifest/node"))}
const pool = new HashPool(1)
const { digest } = await pool.hashBytes((async function* () { yield new Uint8Array(100_000) })(), 100_000)
await pool.close()
console.log(digest)`
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
  assert.equal(out.trim(), sha256(new Uint8Array(100_000)))
})
