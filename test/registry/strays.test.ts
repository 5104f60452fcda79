/** Which blobs of a bucket nobody knows: every one is found in time, and no run looks at more than it may. */
import assert from "node:assert/strict"
import { test } from "node:test"

import { type BlobFacts, type Kept, Strays } from "@weighlock/registry"

import { random } from "./support.ts"

const since = 1000
const before = 5000
const digests = Array.from({ length: 100 }, () => random(32).toString("hex")).toSorted()

interface Bucket {
  readonly strays: Strays
  /** How many were listed. */
  listed(): number
}

function bucketOf(kept: readonly Kept[], known: ReadonlySet<string>, most: number): Bucket {
  let count = 0
  const blobs = async (asked: readonly string[]): Promise<ReadonlyMap<string, BlobFacts>> =>
    new Map(asked.flatMap((sha256) => (known.has(sha256) ? [[sha256, { sha256, size: 1 }]] : [])))
  async function* list(after: string): AsyncGenerator<Kept> {
    for (const each of kept) {
      if (each.sha256 <= after) continue
      count += 1
      yield each
    }
  }
  return { strays: new Strays({ ledger: { blobs }, kept: list, since, most }), listed: () => count }
}

test("every stray is found in one round, wherever it begins; a run lists no more than it may", async () => {
  const known = new Set(digests.filter((_, i) => i % 3 === 0))
  const kept = digests.map((sha256) => ({ sha256, modified: 2000 }))
  const strays = digests.filter((sha256) => !known.has(sha256))
  for (const most of [1, 7, 50, 99, 100, 1000]) {
    const bucket = bucketOf(kept, known, most)
    const found = new Set<string>()
    for (let run = 0; run < Math.ceil(100 / most); run++) {
      const start = bucket.listed()
      for (const sha256 of await bucket.strays.next(before)) found.add(sha256)
      assert.ok(bucket.listed() - start <= most + 1) // one tells that the round is over
    }
    assert.deepEqual([...found].toSorted(), strays, `${most} a run`)
  }
})

test("what is young, or older than this ledger's time with the bucket, is nobody's stray", async () => {
  const times = [0, since - 1, since, before - 1, before, before + 1]
  const kept = times.map((modified, i) => ({ sha256: digests[i] ?? "", modified }))
  const { strays } = bucketOf(kept, new Set(), 1000)
  assert.deepEqual((await strays.next(before)).toSorted(), [digests[2], digests[3]])
})

test("an empty bucket has none", async () => {
  const { strays } = bucketOf([], new Set(), 10)
  for (let run = 0; run < 3; run++) assert.deepEqual(await strays.next(before), [])
})
