/** Many at once, but not too many; in order, fair among owners, and whoever waits may give up. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { forEach, Limiter } from "@weighlock/node"

/** A task that says when it begins and ends when told. */
function task(begun: string[], name: string): { run: () => Promise<string>; end: () => void } {
  const { promise, resolve } = Promise.withResolvers<string>()
  return {
    run: () => {
      begun.push(name)
      return promise
    },
    end: () => resolve(name),
  }
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test("at most so many at once, then first come, first served; each gets its own outcome", async () => {
  const begun: string[] = []
  const limiter = new Limiter(2)
  const tasks = ["a", "b", "c", "d"].map((name) => task(begun, name))
  const outcomes = tasks.map(({ run }) => limiter.run(run))
  await settle()
  assert.deepEqual(begun, ["a", "b"])
  tasks[1]?.end()
  await settle()
  assert.deepEqual(begun, ["a", "b", "c"])
  for (const { end } of tasks) end()
  assert.deepEqual(await Promise.all(outcomes), ["a", "b", "c", "d"])
})

test("a task that fails makes room like any other", async () => {
  const limiter = new Limiter(1)
  const failed = limiter.run(() => Promise.reject(new Error("no")))
  const next = limiter.run(() => Promise.resolve("yes"))
  await assert.rejects(failed, /no/)
  assert.equal(await next, "yes")
})

test("who has the fewest running is next; of those, who asked first", async () => {
  const begun: string[] = []
  const limiter = new Limiter(2)
  const running = [task(begun, "a1"), task(begun, "a2")]
  const waiting = ["a3", "b1", "b2", "c1"].map((name) => ({ name, ...task(begun, name) }))
  const all = running.map(({ run }) => limiter.run(run, { owner: "a" }))
  for (const { name, run } of waiting) all.push(limiter.run(run, { owner: name[0] }))
  running[0]?.end()
  await settle()
  running[1]?.end()
  await settle()
  assert.deepEqual(begun, ["a1", "a2", "b1", "a3"])
  for (const { end } of waiting) end()
  await Promise.all(all)
  assert.deepEqual(begun.slice(4), ["c1", "b2"])
})

test("who waits may give up: with the signal's reason, never begun, and the others move up", async () => {
  const begun: string[] = []
  const limiter = new Limiter(1)
  const [first, second, third] = [task(begun, "1"), task(begun, "2"), task(begun, "3")]
  const controller = new AbortController()
  const outcomes = [limiter.run(first.run), limiter.run(third.run)]
  const given = limiter.run(second.run, { signal: controller.signal })
  const reason = new Error("no more")
  controller.abort(reason)
  await assert.rejects(given, reason)
  first.end()
  third.end()
  assert.deepEqual(await Promise.all(outcomes), ["1", "3"])
  assert.deepEqual(begun, ["1", "3"])
  await assert.rejects(limiter.run(second.run, { signal: controller.signal }), reason)
  // A signal that fires after its turn came takes no place from anybody.
  const late = new AbortController()
  const [fourth, fifth] = [task(begun, "4"), task(begun, "5")]
  const running = limiter.run(fourth.run, { signal: late.signal })
  const next = limiter.run(fifth.run)
  late.abort()
  fourth.end()
  fifth.end()
  assert.deepEqual(await Promise.all([running, next]), ["4", "5"])
})

async function* counted(most: number, onEnd: () => void): AsyncGenerator<number> {
  try {
    for (let i = 0; i < most; i++) yield i
  } finally {
    onEnd()
  }
}

test("forEach: everything, so many at a time, from what is there or comes", async () => {
  for (const items of [[0, 1, 2, 3, 4], counted(5, () => undefined)]) {
    let [now, most] = [0, 0]
    const done: number[] = []
    await forEach(items, 2, async (item) => {
      most = Math.max(most, ++now)
      await settle()
      now--
      done.push(item)
    })
    assert.deepEqual([done.toSorted((a, b) => a - b), most], [[0, 1, 2, 3, 4], 2])
  }
})

test("forEach: an item that comes after a failure is not begun", async () => {
  let [failed, ended] = [false, false]
  const failure = Promise.withResolvers<void>()
  async function* source(): AsyncGenerator<number> {
    try {
      yield 0
      await failure.promise // the other worker waits here
      await settle()
      yield 1
      yield 2
    } finally {
      ended = true
    }
  }
  const begun: number[] = []
  const outcome = forEach(source(), 2, async (item) => {
    begun.push(item)
    failed = true
    failure.resolve()
    throw new Error(`item ${item}`)
  })
  await assert.rejects(outcome, /item 0/)
  assert.deepEqual([begun, failed, ended], [[0], true, true])
})

test("forEach: after a failure nothing new begins, what runs is awaited, and the source is told", async () => {
  let [ended, done] = [false, 0]
  const source = counted(100, () => (ended = true))
  const outcome = forEach(source, 2, async (item) => {
    if (item === 1) throw new Error("one")
    await settle()
    done++
  })
  await assert.rejects(outcome, /one/)
  assert.deepEqual([ended, done], [true, 1])
})
