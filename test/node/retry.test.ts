/** Asking again: as often as told, with pauses that grow, and not once nobody has answered for long. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type Alive, backoffMs, parseRetryAfter, retrying, type RetryOptions } from "@weighlock/node"
import { onlyThorough } from "../support/thorough.ts"

const quick = { firstMs: 1, factor: 1, longestMs: 1 }
class Failed extends Error {}
const mayHelp = (error: unknown): boolean => error instanceof Failed

/** How often a task is begun whose every attempt takes `each` ms and fails; `bytes`: some arrive in between. */
async function attemptsOf(each: number, bytes = false, more: Partial<RetryOptions> = {}): Promise<number> {
  let [time, count] = [0, 0]
  const task = async (alive: Alive): Promise<never> => {
    count++
    time += each
    if (bytes) alive()
    throw new Failed("no")
  }
  await assert.rejects(retrying(task, { mayHelp, backoff: quick, now: () => time, ...more }), Failed)
  return count
}
test("quick failures: four times, or as often as told", async () => {
  assert.equal(await attemptsOf(1), 4)
  assert.equal(await attemptsOf(1, false, { attempts: 1 }), 1)
  assert.equal(await attemptsOf(1000, false, { attempts: Infinity, timeoutMs: 10_000 }), 10)
})
test("a server that hangs is not asked again after the time limit", async () => {
  assert.equal(await attemptsOf(30_000), 1)
  assert.equal(await attemptsOf(16_000), 2)
  assert.equal(await attemptsOf(6_000, false, { timeoutMs: 5_000 }), 1)
})
test("where bytes move, time does not count", async () => assert.equal(await attemptsOf(60_000, true), 4))
test("what would not help is not asked again, success is given back", async () => {
  let count = 0
  const other = async (): Promise<never> => {
    count++
    throw new Error("no")
  }
  await assert.rejects(retrying(other, { mayHelp, backoff: quick }), /no/)
  assert.equal(count, 1)
  const second = async (): Promise<number> => {
    if (++count < 3) throw new Failed("no")
    return count
  }
  assert.equal(await retrying(second, { mayHelp, backoff: quick }), 3)
})

test("pauses grow by the factor, a quarter shorter or longer by chance, up to the longest", () => {
  const bounds = [200, 800, 3200, 12_800, 30_000, 30_000]
  for (const [at, middle] of bounds.entries()) {
    const seen = Array.from({ length: 200 }, () => backoffMs(at + 1))
    assert.ok(Math.min(...seen) >= 0.75 * middle && Math.max(...seen) <= 1.25 * middle, `${at}: ${seen.join()}`)
    assert.ok(new Set(seen).size > 100, "by chance")
  }
  assert.ok(Number.isFinite(backoffMs(5000)))
})

test("without a limit on attempts there are pauses all the same", async () => {
  const times: number[] = []
  const task = async (): Promise<number> => {
    times.push(performance.now())
    if (times.length < 3) throw new Failed("no")
    return times.length
  }
  const backoff = { firstMs: 100, factor: 1, longestMs: 100 }
  assert.equal(await retrying(task, { mayHelp, backoff, attempts: Infinity }), 3)
  assert.ok((times[2] ?? 0) - (times[0] ?? 0) >= 145, times.join())
})

test("Retry-After: nothing is asked before that time, once", async () => {
  const times: number[] = []
  const task = async (alive: Alive): Promise<never> => {
    times.push(performance.now())
    alive(times.length === 1 ? 300 : 0)
    throw new Failed("later")
  }
  await assert.rejects(retrying(task, { mayHelp, backoff: quick, attempts: 3 }), Failed)
  const [first = 0, second = 0] = times
  assert.equal(times.length, 3)
  assert.ok(second - first >= 295, `${second - first} ms`)
})

test("Retry-After: an absurd one is cut to half a minute", { skip: onlyThorough }, async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] })
  let count = 0
  const task = async (alive: Alive): Promise<number> => {
    if (++count > 1) return count
    alive(1e9)
    throw new Failed("next year")
  }
  const outcome = retrying(task, { mayHelp, backoff: quick, now: () => 0 })
  await new Promise((resolve) => setImmediate(resolve))
  t.mock.timers.tick(29_000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(count, 1)
  t.mock.timers.tick(1_100)
  assert.equal(await outcome, 2)
})

test("Retry-After: seconds or a date, anything else is none", () => {
  const now = Date.parse("2026-11-30T12:00:00Z")
  const read = (text: string | undefined): number => parseRetryAfter(text, now)
  assert.deepEqual(["0", "1", "120"].map(read), [0, 1000, 120_000])
  assert.equal(read("Mon, 30 Nov 2026 12:00:05 GMT"), 5000)
  const none = [undefined, "", "-1", "1.5", "1e3", "0x10", " 1", "soon", "99999999999", "Mon, 30 Nov 2026 11:00:00 GMT"]
  none.push("2026-11-30", "Xxx, 99 Xxx 2026 12:00:00 GMT", "NaN", "Infinity")
  for (const text of none) assert.equal(read(text), 0, text)
})

test("a signal ends it: before the first attempt, and in a pause, with its reason", async () => {
  const reason = new Error("stopped")
  const never = async (): Promise<never> => assert.fail("begun")
  await assert.rejects(retrying(never, { mayHelp, signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  let count = 0
  const task = async (): Promise<never> => {
    count++
    setImmediate(() => controller.abort(reason))
    throw new Failed("no")
  }
  const slow = { firstMs: 600_000, factor: 1, longestMs: 600_000 }
  await assert.rejects(retrying(task, { mayHelp, signal: controller.signal, backoff: slow }), reason)
  assert.equal(count, 1)
})

test("time in which the process stood still is nobody's silence", { skip: process.platform === "win32" }, async (t) => {
  const clock = new URL("../../packages/node/src/awake-clock.ts", import.meta.url)
  const script = `
    const { startAwakeClock } = await import(${JSON.stringify(clock.href)})
    const began = performance.now()
    const clock = startAwakeClock()
    console.log("started")
    process.stdin.once("data", () => { console.log(clock.now(), performance.now() - began); clock.stop(); process.exit() })`
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["pipe", "pipe", "inherit"] })
  t.after(() => child.kill("SIGKILL"))
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  assert.equal((await lines.next()).value, "started")
  child.kill("SIGSTOP")
  await sleep(3000)
  child.kill("SIGCONT")
  child.stdin.write("now\n")
  const [lived = Number.NaN, passed = Number.NaN] = String((await lines.next()).value)
    .split(" ")
    .map(Number)
  assert.ok(passed >= 2500, `${passed} ms passed`)
  assert.ok(lived <= passed - 1500, `${lived} of ${passed} ms`)
})
