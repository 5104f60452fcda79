/** Files that threads read themselves: whole or a range, with parts or without, while they grow, and kept in memory or not. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { appendFileSync, truncateSync, writeFileSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import { after, test, type TestContext } from "node:test"

import { FileHasher } from "@weighlock/node"
import { tempFolder } from "../support/temp.ts"

const hasher = new FileHasher({ threads: 2 })
after(() => hasher.close())
const mib = 2 ** 20
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

async function opened(t: TestContext, bytes: Uint8Array, flags = "r"): Promise<{ file: FileHandle; path: string }> {
  const path = join(tempFolder(t), "x")
  writeFileSync(path, bytes)
  const file = await open(path, flags)
  t.after(() => file.close())
  return { file, path }
}

for (const size of [0, 1, 65_536, 65_537, 8 * mib, 20 * mib + 5]) {
  test(`${size} bytes: the digest, and the bytes it is of when they are to be kept`, async (t) => {
    const bytes = randomBytes(size)
    const { file } = await opened(t, bytes)
    let told = 0
    const onBytes = (count: number): void => void (told += count)
    assert.equal((await hasher.hashRange(file, { start: 0, size }, { onBytes })).digest, sha256(bytes))
    assert.equal(told, size)
    const kept = await hasher.hashRange(file, { start: 0, size }, { keep: true })
    assert.equal(kept.digest, sha256(bytes))
    assert.ok(Buffer.from(kept.bytes ?? assert.fail()).equals(bytes))
  })
}

test("a range is those bytes; one that reaches past the end is refused", async (t) => {
  const bytes = randomBytes(3 * mib)
  const { file } = await opened(t, bytes)
  for (const [start, size] of [
    [0, bytes.length],
    [5, 100],
    [mib + 1, mib],
  ] as const)
    assert.equal((await hasher.hashRange(file, { start, size })).digest, sha256(bytes.subarray(start, start + size)))
  for (const [start, size] of [
    [1, 3 * mib],
    [3 * mib, 1],
    [4 * mib, mib],
  ] as const)
    await assert.rejects(hasher.hashRange(file, { start, size }), { code: "FILE_CHANGED" })
})

test("a file that grows: parts and the whole from one read, in memory what was hashed", async (t) => {
  const bytes = randomBytes(40 * mib)
  const { file, path } = await opened(t, new Uint8Array(0))
  const sizes = [8 * mib, 1, 20 * mib, 12 * mib - 1]
  const reading = hasher.begin(file, { keep: bytes.length })
  let at = 0
  for (const size of sizes) {
    const part = bytes.subarray(at, (at += size))
    appendFileSync(path, part)
    assert.equal(await reading.nextPart(size), sha256(part))
  }
  const hashed = await reading.end()
  assert.equal(hashed.digest, sha256(bytes))
  writeFileSync(path, randomBytes(mib)) // what is in memory is not what is on disk by now
  assert.ok(Buffer.from(hashed.bytes ?? assert.fail()).equals(bytes))
})

test("many files at once on two threads", async (t) => {
  const files = await Promise.all(Array.from({ length: 20 }, (_, i) => opened(t, randomBytes(i * 700_000))))
  const digests = await Promise.all(
    files.map(async ({ file }) => hasher.hashRange(file, { start: 0, size: (await file.stat()).size })),
  )
  const expected = await Promise.all(files.map(async ({ file }) => sha256(await file.readFile())))
  assert.deepEqual(
    digests.map(({ digest }) => digest),
    expected,
  )
})

test("a file that is cut short while it is read is refused, and the hasher goes on", async (t) => {
  const bytes = randomBytes(20 * mib)
  const { file, path } = await opened(t, bytes)
  const reading = hasher.begin(file)
  await reading.next(8 * mib)
  truncateSync(path, 9 * mib)
  await assert.rejects(reading.next(12 * mib), { code: "FILE_CHANGED" })
  await reading.forget()
  assert.equal((await hasher.hashRange(file, { start: 0, size: 9 * mib })).digest, sha256(bytes.subarray(0, 9 * mib)))
})

test("stopped by a signal, and by what is told of the bytes", async (t) => {
  const { file } = await opened(t, randomBytes(20 * mib))
  const stop = new AbortController()
  const onBytes = (): void => stop.abort(new Error("enough"))
  const range = { start: 0, size: 20 * mib }
  await assert.rejects(hasher.hashRange(file, range, { onBytes, signal: stop.signal }), { message: "enough" })
  const fault = new Error("no more")
  const thrown = (): void => {
    throw fault
  }
  await assert.rejects(hasher.hashRange(file, range, { onBytes: thrown }), fault)
})

test("what the system says of a file that cannot be read is thrown on, and the hasher goes on", async (t) => {
  const { file } = await opened(t, new Uint8Array(mib), "a") // not for reading
  for (const keep of [false, true])
    await assert.rejects(hasher.hashRange(file, { start: 0, size: mib }, { keep }), {
      code: "EBADF",
      syscall: "read",
      message: "EBADF: bad file descriptor, read",
    })
  const bytes = randomBytes(mib)
  const right = await opened(t, bytes)
  assert.equal((await hasher.hashRange(right.file, { start: 0, size: mib })).digest, sha256(bytes))
})

test("closed while files are read: those fail, and nothing hangs", async (t) => {
  const own = new FileHasher({ threads: 1 })
  const { file } = await opened(t, randomBytes(20 * mib))
  const readings = Array.from({ length: 4 }, () =>
    own.hashRange(file, { start: 0, size: 20 * mib }).catch(() => "failed"),
  )
  await own.close()
  assert.deepEqual(await Promise.all(readings), ["failed", "failed", "failed", "failed"])
  assert.equal(await own.hashRange(file, { start: 0, size: mib }).catch(() => "failed"), "failed")
})

test("ended while an answer is on its way: the process lives on", () => {
  const scene = `
    import { open } from "node:fs/promises"
    import { FileHasher } from "@weighlock/node"
    const file = await open(process.execPath)
    for (const size of [70_000, 100_000, 200_000, 1_000_000]) {
      const hasher = new FileHasher({ threads: 1 })
      const reading = hasher.begin(file)
      await reading.next(size) // its thread runs
      const waiting = reading.next(size).catch(() => undefined)
      for (const until = performance.now() + 5; performance.now() < until; );
      await hasher.close()
      await waiting
    }
    await file.close()
    console.log("alive")`
  const { status, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", scene], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  })
  assert.deepEqual([status, stdout], [0, "alive\n"])
})
