/** What a pull receives is freed as it goes, with nothing changed in the program that pulls. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { runInNewContext } from "node:vm"
import { fetchModel, pullModel } from "@weighlock/client"
import { largeFiles, reference, sharedShop } from "../support/published.ts"

// Not part of the package's interface: imported by its place.
const place = new URL("../../packages/client/src/chunk-memory.ts", import.meta.url)
const { freeChunk } = (await import(place.href)) as { freeChunk: (chunk: Uint8Array) => void }
const files = largeFiles()
const shop = await sharedShop(files)

/** Counts the bytes whose memory is given back at once until the test ends. */
function countFreed(t: TestContext): () => number {
  const { transfer } = ArrayBuffer.prototype
  let freed = 0
  t.mock.method(ArrayBuffer.prototype, "transfer", function (this: ArrayBuffer, length?: number) {
    if (length === 0) freed += this.byteLength
    return transfer.call(this, length)
  })
  return () => freed
}

test("most of what arrives is freed at once, and every byte is right", async (t) => {
  const freed = countFreed(t)
  await pullModel(reference, join(shop.folder, "pulled"), shop.options)
  const size = Object.values(files).reduce((sum, { length }) => sum + length, 0)
  assert.ok(freed() > size / 2, `${freed()} of ${size} bytes`)
  const { files: found } = await fetchModel(reference, { ...shop.options, cache: join(shop.folder, "second") })
  for (const [name, bytes] of Object.entries(files))
    assert.ok(bytes.equals(found.get(name)?.bytes ?? assert.fail(name)), name)
})

test("who pulls and loads keeps the V8 it has: no gc appears, here or in a new context", () => {
  assert.equal((globalThis as { gc?: unknown }).gc, undefined)
  assert.equal(runInNewContext("typeof gc"), "undefined")
})

test("memory that others look at stays: part of a chunk, shared memory, and a resizable one", () => {
  const whole = new Uint8Array(1000).fill(7)
  const shared = new Uint8Array(new SharedArrayBuffer(10))
  const resizable = new Uint8Array(new ArrayBuffer(10, { maxByteLength: 20 }))
  for (const kept of [whole.subarray(0, 999), whole.subarray(1), whole.subarray(0, 0), shared, resizable]) {
    const before = kept.length
    freeChunk(kept)
    assert.equal(kept.length, before)
  }
  assert.equal(whole[500], 7)
  freeChunk(whole)
  assert.equal(whole.length, 0)
})
