/**
 * Faults at exact places, by strace: the system calls of one publish are counted first, thread by thread, and then each of
 * them in turn is where the process is killed, or where the disk says no.
 *
 *     thread 0   pwrite64 ×6 ledger.sqlite-wal   fdatasync ×1 ledger.sqlite-wal   writev ×1 (the answer)
 *
 * strace counts `when=N` per thread and per system call, so that is what a place is made of.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { readdir } from "node:fs/promises"
import type { TestContext } from "node:test"

export const syncs = ["fsync", "fdatasync"]
export const writes = ["write", "writev", "pwrite64", "pwritev", "ftruncate", "fallocate"]
export const names = ["rename", "renameat", "renameat2", "link", "unlink", "unlinkat"]

export interface Place {
  /** Which of the process's threads, in order of their ids. */
  readonly thread: number
  readonly call: string
  /** The n-th such call of that thread, from 1. */
  readonly nth: number
  /** As strace shows the call. */
  readonly shown: string
}

/** Whether strace may look into another process here; else the test is skipped, or fails under REQUIRE_STRACE=1. */
export function needsStrace(t: TestContext): boolean {
  const { status, stderr, error } = spawnSync("strace", ["-q", "-o", "/dev/null", "true"])
  if (status === 0) return true
  const reason = error ? "strace is not installed" : `strace can't trace here: ${stderr.toString().trim()}`
  if (process.env["REQUIRE_STRACE"]) throw new Error(reason)
  t.skip(`not checked: ${reason}`)
  return false
}

const threadsOf = async (pid: number): Promise<number[]> =>
  (await readdir(`/proc/${pid}/task`)).map(Number).toSorted((a, b) => a - b)

async function attach(argv: readonly string[]): Promise<ChildProcess> {
  const strace = spawn("strace", argv, { stdio: ["ignore", "ignore", "pipe"] })
  let said = ""
  await new Promise<void>((resolve, reject) => {
    strace.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes("attached")) resolve()
    })
    strace.once("exit", () => reject(new Error(`strace: ${said}`)))
  })
  return strace
}

async function detach(strace: ChildProcess): Promise<void> {
  if (strace.exitCode !== null || strace.signalCode !== null) return
  strace.kill("SIGTERM")
  await once(strace, "exit")
}

/** Every write, sync and rename that `work` makes the process do. */
export async function survey(pid: number, out: string, work: () => Promise<unknown>): Promise<Place[]> {
  const threads = await threadsOf(pid)
  const calls = [...syncs, ...writes, ...names].join(",")
  const strace = await attach(["-f", "-y", "-p", String(pid), "-o", out, "-e", `trace=${calls}`])
  try {
    await work()
  } finally {
    await detach(strace)
  }
  return readPlaces(readFileSync(out, "utf8"), threads)
}

function readPlaces(text: string, threads: readonly number[]): Place[] {
  const counts = new Map<string, number>()
  const places: Place[] = []
  for (const line of text.split("\n")) {
    const [, tid = "", call = "", rest = ""] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? []
    const thread = threads.indexOf(Number(tid))
    if (call === "" || thread < 0) continue
    const nth = (counts.get(`${tid} ${call}`) ?? 0) + 1
    counts.set(`${tid} ${call}`, nth)
    places.push({ thread, call, nth, shown: `${call}(${rest}`.slice(0, 110) })
  }
  return places
}

/** `fault` as strace spells it: `signal=SIGKILL`, `error=EIO`. Runs `work` with the fault in place. */
export async function withFault<T>(pid: number, place: Place, fault: string, work: () => Promise<T>): Promise<T> {
  const thread = (await threadsOf(pid))[place.thread]
  const inject = `inject=${place.call}:${fault}:when=${place.nth}`
  const strace = await attach(["-p", String(thread), "-o", "/dev/null", "-e", `trace=${place.call}`, "-e", inject])
  try {
    return await work()
  } finally {
    await detach(strace)
  }
}

/** strace as the parent: for what happens before anyone could attach. `when` counts per thread, whichever gets there first. */
export function underStrace(out: string, call: string, fault: string, nth: number): string[] {
  return ["strace", "-f", "-q", "-o", out, "-e", `trace=${call}`, "-e", `inject=${call}:${fault}:when=${nth}`]
}

/** How often each call is made from start to the first line of output, by the thread that makes it most. */
export function countCalls(out: string, calls: readonly string[]): ReadonlyMap<string, number> {
  const threads = new Map<string, number>()
  const most = new Map<string, number>()
  for (const line of readFileSync(out, "utf8").split("\n")) {
    const [, tid, call = ""] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (!calls.includes(call)) continue
    const count = (threads.get(`${tid} ${call}`) ?? 0) + 1
    threads.set(`${tid} ${call}`, count)
    most.set(call, Math.max(most.get(call) ?? 0, count))
  }
  return most
}
