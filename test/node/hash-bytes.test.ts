/** Bytes that come from elsewhere are hashed as files are: whole and parts, exactly as many as were announced. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { after, test } from "node:test"

import { FileHasher } from "@weighlock/node"

const mib = 2 ** 20
const hasher = new FileHasher({ threads: 2, partSizeFor: (size) => (size > 8 * mib ? 8 * mib : null) })
after(() => hasher.close())
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
    const { digest, parts, ...rest } = await hasher.hashBytes(chunks(bytes, chunk), size, { parts: true })
    assert.deepEqual([digest, rest.size], [sha256(bytes), size])
    const expected = Array.from({ length: Math.ceil(size / (8 * mib)) }, (_, i) =>
      sha256(bytes.subarray(i * 8 * mib, (i + 1) * 8 * mib)),
    )
    assert.deepEqual(parts, size > 8 * mib ? expected : undefined)
  })
}

test("fewer or more than announced are refused, what the source throws is thrown on, and the hasher goes on", async () => {
  const bytes = randomBytes(9 * mib)
  for (let i = 0; i < 40; i++) {
    for (const size of [bytes.length - 1, bytes.length + 1])
      await assert.rejects(hasher.hashBytes(chunks(bytes, mib), size), { name: "NodeError", code: "FILE_CHANGED" })
    const fault = new Error("gone")
    await assert.rejects(hasher.hashBytes(chunks(bytes, mib, fault), bytes.length + 1, { parts: true }), fault)
  }
  assert.equal((await hasher.hashBytes(chunks(bytes, mib), bytes.length)).digest, sha256(bytes))
})

test("flags of the program that imports it do not reach the threads", () => {
  const script = `
import { FileHasher } from ${JSON.stringify(import.meta.resolve("@weighlock/node"))}
const hasher = new FileHasher({ threads: 1 })
const { digest } = await hasher.hashBytes((async function* () { yield new Uint8Array(100_000) })(), 100_000)
await hasher.close()
console.log(digest)`
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" })
  assert.equal(out.trim(), sha256(new Uint8Array(100_000)))
})

test("a part size that no block ends with is refused before a byte is read", async () => {
  const odd = new FileHasher({ threads: 1, partSizeFor: () => mib + 1 })
  after(() => odd.close())
  const unread = new Error("a byte was read")
  await assert.rejects(odd.hashBytes(chunks(new Uint8Array(0), 1, unread), 9 * mib, { parts: true }), RangeError)
})

test("errors are the caller's own where it says how they are made", async () => {
  const own = new FileHasher({ threads: 1, toError: ({ code }) => new TypeError(`ours: ${code}`) })
  after(() => own.close())
  await assert.rejects(own.hashBytes(chunks(new Uint8Array(1), 1), 2), TypeError("ours: FILE_CHANGED"))
  await assert.rejects(own.hashFile("/nowhere"), TypeError("ours: FILE_UNREADABLE"))
})
