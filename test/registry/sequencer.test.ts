/** Group commit: who waits shares a commit; who is refused is told; nothing follows a commit that failed. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { setImmediate } from "node:timers/promises"

import { type RegistryError, Sequencer } from "@weighlock/registry"

function sequencer(commit: (batch: readonly number[]) => Promise<readonly string[]>, maxItems = 1000, maxBytes = 1e9) {
  const failures: RegistryError[] = []
  const onFailed = (error: RegistryError): void => void failures.push(error)
  return { failures, sequencer: new Sequencer(commit, { maxItems, maxBytes, sizeOf: () => 10, onFailed }) }
}

test("waiting writes share one commit, and are answered in their own order", async () => {
  const batches: number[] = []
  const { sequencer: line } = sequencer(async (batch) => {
    batches.push(batch.length)
    return batch.map(String)
  })
  const answers = await Promise.all(Array.from({ length: 600 }, (_, i) => line.submit(i)))
  assert.deepEqual(
    answers,
    Array.from({ length: 600 }, (_, i) => String(i)),
  )
  assert.deepEqual(batches, [512, 88])
})

test("two commits are under way at most, and who waits meanwhile shares the next", async () => {
  const batches: (readonly number[])[] = []
  const release: (() => void)[] = []
  const { sequencer: line } = sequencer((batch) => {
    batches.push(batch)
    return new Promise((resolve) => release.push(() => resolve(batch.map(String))))
  })
  const answers = [line.submit(1)]
  await setImmediate()
  answers.push(line.submit(2))
  await setImmediate()
  answers.push(line.submit(3), line.submit(4))
  await setImmediate()
  assert.deepEqual(batches, [[1], [2]])
  release.shift()?.()
  await answers[0]
  for (let turn = 0; turn < 3; turn++) await setImmediate()
  assert.deepEqual(batches, [[1], [2], [3, 4]])
  for (const go of release) go()
  assert.deepEqual(await Promise.all(answers), ["1", "2", "3", "4"])
})

test("a full queue refuses with UNAVAILABLE, by number and by bytes, and recovers", async () => {
  for (const [maxItems, maxBytes] of [
    [2, 1e9],
    [1000, 20],
  ] as const) {
    const { sequencer: line } = sequencer(async (batch) => batch.map(String), maxItems, maxBytes)
    const first = [line.submit(1), line.submit(2)]
    await assert.rejects(line.submit(3), { code: "UNAVAILABLE" })
    assert.deepEqual(await Promise.all(first), ["1", "2"])
    assert.equal(await line.submit(4), "4")
  }
})

test("after a failed commit nothing is sequenced, and the process is told once", async () => {
  let commits = 0
  const { sequencer: line, failures } = sequencer(async () => {
    commits += 1
    throw new Error("EIO")
  })
  const waiting = Array.from({ length: 300 }, (_, i) => line.submit(i))
  for (const each of await Promise.allSettled(waiting)) assert.equal(each.status, "rejected")
  await assert.rejects(line.submit(9), { code: "STORE_FAILED" })
  assert.equal(commits, 1)
  assert.deepEqual(
    failures.map(({ code }) => code),
    ["STORE_FAILED"],
  )
})

test("an answer too few is a failed commit", async () => {
  const { sequencer: line, failures } = sequencer(async () => [])
  await assert.rejects(line.submit(1), { code: "STORE_FAILED" })
  assert.equal(failures.length, 1)
})

test("close waits for those in line and refuses new ones", async () => {
  const { sequencer: line } = sequencer(async (batch) => batch.map(String))
  const waiting = [line.submit(1), line.submit(2)]
  const closed = line.close()
  await assert.rejects(line.submit(3), { code: "UNAVAILABLE" })
  await closed
  assert.deepEqual(await Promise.all(waiting), ["1", "2"])
})
