/** A thread answers, refuses, dies or is ended; whoever asked is told each time, and the process lives as long as someone waits. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test, type TestContext } from "node:test"
import { fileURLToPath } from "node:url"
import { leastBusy, NodeError, workerFile, WorkerThread, type WorkerThreadOptions } from "@weighlock/node"
import { evalWays } from "../support/eval-program.ts"
import { sample } from "../support/thorough.ts"
import type { TestOrder } from "./order-worker.ts"

const file = workerFile("./order-worker", import.meta.url)
type Thread = WorkerThread<TestOrder, unknown>

function started(t: TestContext, options: WorkerThreadOptions = {}): Thread {
  const thread = new WorkerThread<TestOrder, unknown>(file, { name: "test", ...options })
  t.after(() => thread.terminate())
  return thread
}

test("orders are answered, each with its own reply, whichever is done first", async (t) => {
  const thread = started(t)
  const slow = thread.ask({ kind: "later", milliseconds: 50 })
  const fast = [1, 2, 3].map((number) => thread.ask({ kind: "double", number }))
  assert.equal(thread.busy, 4)
  assert.deepEqual(await Promise.all(fast), [2, 4, 6])
  assert.equal(await slow, 50)
  assert.equal(thread.busy, 0)
})

test("workerData arrives; buffers change threads both ways", async (t) => {
  const thread = started(t, { workerData: { key: ["value"] } })
  assert.deepEqual(await thread.ask({ kind: "workerData" }), { key: ["value"] })
  const bytes = Uint8Array.of(1, 2, 3)
  assert.deepEqual(await thread.ask({ kind: "moved", bytes }, { transfer: [bytes.buffer] }), Uint8Array.of(1, 2, 3))
  assert.equal(bytes.length, 0)
})

test("progress is heard in order, before the reply, by whoever asked for it", async (t) => {
  const thread = started(t)
  const heard: number[] = []
  const counted = thread.ask({ kind: "count", to: 3 }, { onProgress: (at: number) => heard.push(at) })
  const others = thread.ask({ kind: "count", to: 2 })
  assert.equal(await counted, "counted")
  assert.deepEqual(heard, [0, 1, 2])
  assert.equal(await others, "counted")
})

for (const kind of ["throw", "reject"] as const) {
  test(`${kind}: code, hint, name and cause cross the boundary, and the thread goes on`, async (t) => {
    const thread = started(t)
    await assert.rejects(thread.ask({ kind, code: "FILE_CHANGED" }), (error: NodeError) => {
      assert.deepEqual(
        [error.name, error.code, error.message, error.hint],
        ["NodeError", "FILE_CHANGED", "refused in the thread", "try that"],
      )
      assert.ok(error instanceof Error && error.cause instanceof Error)
      assert.deepEqual([error.cause.name, error.cause.message], ["RangeError", "deeper"])
      assert.match(error.stack ?? "", /order-worker/)
      return true
    })
    assert.equal(await thread.ask({ kind: "double", number: 4 }), 8)
  })
}

test("a code that is no enumerable field crosses as well", async (t) => {
  await assert.rejects(started(t).ask({ kind: "hidden code" }), { code: "HIDDEN", name: "Error" })
})

test("what is thrown can be given its class back", async (t) => {
  const revive = (thrown: Error): Error => new TypeError(thrown.message)
  await assert.rejects(started(t, { revive }).ask({ kind: "throw", code: "FILE_CHANGED" }), TypeError)
})

test("what is no Error, or cannot be cloned either way, is an error of that order only", async (t) => {
  const thread = started(t)
  await assert.rejects(thread.ask({ kind: "throw text" }), { message: "only text" })
  await assert.rejects(thread.ask({ kind: "uncloneable" }), { name: "DataCloneError" })
  const order = { kind: "double", number: () => 1 } as unknown as TestOrder
  await assert.rejects(thread.ask(order), { name: "DataCloneError" })
  assert.equal(thread.busy, 0)
  assert.equal(await thread.ask({ kind: "double", number: 4 }), 8)
})

test("a thread that exits fails all that wait and all that come, and says how it ended", async (t) => {
  const thread = started(t)
  const waiting = [thread.ask({ kind: "never" }), thread.ask({ kind: "exit" })]
  const ended = { code: "THREAD_ENDED", message: "the test thread ended with exit code 3" }
  for (const one of waiting) await assert.rejects(one, ended)
  await assert.rejects(thread.ask({ kind: "double", number: 1 }), ended)
  assert.equal(thread.ended?.code, "THREAD_ENDED")
  assert.equal(await thread.gone, thread.ended)
})

test("an error outside of an order ends the thread; what was answered before arrives", async (t) => {
  const thread = started(t)
  const never = thread.ask({ kind: "never" })
  assert.equal(await thread.ask({ kind: "answer and die" }), "answered")
  await assert.rejects(never, (error: NodeError) => {
    assert.deepEqual([error.code, error.message], ["THREAD_ENDED", "the test thread failed: died afterwards"])
    assert.equal((error.cause as Error).message, "died afterwards")
    return true
  })
})

test("out of memory ends the thread, not the process", async (t) => {
  const thread = started(t, { resourceLimits: { maxOldGenerationSizeMb: 32 } })
  await assert.rejects(thread.ask({ kind: "fill memory" }), (error: NodeError) => {
    assert.deepEqual(
      [error.code, (error.cause as { code?: unknown }).code],
      ["THREAD_ENDED", "ERR_WORKER_OUT_OF_MEMORY"],
    )
    return true
  })
})

test("a file that is not there is an end with a reason", async () => {
  const thread = new WorkerThread(workerFile("./no-such-worker", import.meta.url))
  await assert.rejects(thread.ask(1), { code: "THREAD_ENDED", message: /no-such-worker/ })
})

for (const kind of ["never", "loop"] as const) {
  test(`ended meanwhile (${kind}): what waits fails at once, and so does what comes`, async (t) => {
    const thread = started(t)
    assert.equal(await thread.ask({ kind: "double", number: 1 }), 2)
    const waiting = thread.ask({ kind })
    const end = thread.terminate("took too long")
    await assert.rejects(waiting, { code: "THREAD_ENDED", message: "the test thread took too long" })
    await end
    await assert.rejects(thread.ask({ kind: "double", number: 1 }), { message: "the test thread took too long" })
    assert.equal((await thread.gone).message, "the test thread took too long")
    await thread.terminate()
  })
}

test("ended before it began: no thread is started", async (t) => {
  const thread = started(t)
  await thread.terminate()
  await assert.rejects(thread.ask({ kind: "double", number: 1 }), { message: "the test thread was closed" })
})

test("the least busy of several, the first of equals", () => {
  const [a, b, c] = [{ busy: 2 }, { busy: 1 }, { busy: 1 }] as const
  assert.equal(leastBusy([a, b, c]), b)
})

/** Programs that know nothing of threads, each as `node` starts them; every one must end by itself. */
const preamble = `const { WorkerThread } = await import("@weighlock/node")
const thread = new WorkerThread(new URL(${JSON.stringify(file.href)}), { name: "test", silent: true })
const failed = (error) => error.message`
const programs = {
  "asks and ends": [`console.log(await thread.ask({ kind: "double", number: 21 }))`, "42\n"],
  "the thread has no flags": [`console.log((await thread.ask({ kind: "flags" })).length)`, "0\n"],
  "a silent thread is": [`console.log(await thread.ask({ kind: "chat" }))`, "null\n"],
  "never asks": [`console.log(thread.busy)`, "0\n"],
  "asks what cannot be cloned": [
    `console.log(await thread.ask(() => 1).catch((error) => error.name))`,
    "DataCloneError\n",
  ],
  "waits for a slow answer": [`console.log(await thread.ask({ kind: "later", milliseconds: 300 }))`, "300\n"],
  "the thread exits": [
    `console.log(await thread.ask({ kind: "exit" }).catch(failed))`,
    "the test thread ended with exit code 3\n",
  ],
  "the thread dies": [
    `await thread.ask({ kind: "answer and die" })
     console.log(await thread.ask({ kind: "never" }).catch(failed))`,
    "the test thread failed: died afterwards\n",
  ],
  "closes while an answer is on its way": [
    `for (let at = 0; at < 20; at++) {
       const one = new WorkerThread(new URL(${JSON.stringify(file.href)}))
       await one.ask({ kind: "double", number: 1 })
       const waiting = one.ask({ kind: "double", number: 2 }).catch(failed)
       for (const until = performance.now() + at / 4; performance.now() < until; );
       await one.terminate()
       await waiting
     }
     console.log("alive")`,
    "alive\n",
  ],
  "closes a thread that loops": [
    `const waiting = thread.ask({ kind: "loop" }).catch(failed)
     await thread.terminate()
     console.log(await waiting)`,
    "the test thread was closed\n",
  ],
} as const
for (const [way, flags] of Object.entries(evalWays)) {
  for (const [what, [script, expected]] of sample(Object.entries(programs), 3)) {
    test(`${way}: ${what}`, () => {
      const cwd = fileURLToPath(new URL(".", import.meta.url))
      const { status, stdout, stderr } = spawnSync(process.execPath, flags(`${preamble}\n${script}`), {
        cwd,
        encoding: "utf8",
        timeout: 600_000,
      })
      assert.deepEqual([status, stdout], [0, expected], stderr)
    })
  }
}
