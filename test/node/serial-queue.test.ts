/** One at a time, in the order of asking, whatever happens to the one before. */
import assert from "node:assert/strict"
import { setImmediate as turn } from "node:timers/promises"
import { test } from "node:test"
import { SerialQueue } from "@weighlock/node"

test("tasks never overlap, run in order, and each caller gets its own outcome", async () => {
  const queue = new SerialQueue()
  const said: string[] = []
  let running = 0
  assert.equal(queue.size, 0)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, at) =>
      queue.run(async () => {
        assert.equal(++running, 1)
        assert.equal(queue.size, 20 - at)
        for (let turns = 20 - at; turns > 0; turns--) await turn()
        running--
        said.push(String(at))
        if (at % 3 === 0) throw new Error(String(at))
        return at
      }),
    ),
  )
  assert.deepEqual(
    said,
    outcomes.map((_, at) => String(at)),
  )
  for (const [at, outcome] of outcomes.entries()) {
    if (outcome.status === "fulfilled") assert.equal(outcome.value, at)
    else assert.deepEqual([at % 3, (outcome.reason as Error).message], [0, String(at)])
  }
})

test("a task that throws at once, before any await, keeps nothing from running", async () => {
  const queue = new SerialQueue()
  const failing = queue.run(() => {
    throw new Error("at once")
  })
  assert.equal(queue.size, 1)
  assert.equal(await queue.run(async () => 5), 5)
  await assert.rejects(failing, { message: "at once" })
})
