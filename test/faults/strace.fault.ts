/**
 * One publish, and at every write, sync and rename in it: the process killed; the sync failing; the disk full. After each the
 * registry is started again, the independent checker judges the log, and the publish is repeated.
 */
import assert from "node:assert/strict"
import { rmSync } from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"

import { makeWorld, type World } from "../registry/support.ts"
import { Checker } from "./checker/check.ts"
import { Journal, journalFolder } from "./checker/journal.ts"
import { openKey } from "./checker/note.ts"
import { overHttp, readLog } from "./checker/served-log.ts"
import { blob, publishOne, vkeyOf } from "./load.ts"
import { countCalls, names, needsStrace, type Place, survey, syncs, underStrace, withFault, writes } from "./strace.ts"
import { kill, sleep, startVictim, type Victim } from "./victim.ts"

/** One data folder that goes through fault after fault, and all that was ever promised about it. */
class Bench {
  readonly #t: TestContext
  readonly world: World
  readonly #journal: Journal
  readonly #checker: Checker
  #judged = 0
  #next = 0

  constructor(t: TestContext, world: World, folder: string) {
    this.#t = t
    this.world = world
    this.#journal = new Journal(folder)
    this.#checker = new Checker(openKey(vkeyOf(world)))
  }

  /** Started on what the last fault left, and judged. */
  async start(): Promise<Victim> {
    const victim = await startVictim(this.#t, this.world)
    this.#checker.take(await readLog(overHttp(victim.peer.url)))
    const lines = this.#journal.lines()
    for (const line of lines.slice(this.#judged)) this.#checker.line(line)
    this.#judged = lines.length
    return victim
  }

  version(): string {
    return `0.0.${this.#next++}`
  }

  async publish(victim: Victim, version: string): Promise<boolean> {
    try {
      await publishOne(victim.peer, { world: this.world, journal: this.#journal, inFlight: 1 }, version)
      return true
    } catch {
      return false
    }
  }

  get verdict(): string {
    return JSON.stringify(this.#checker.verdict)
  }
}

async function open(t: TestContext): Promise<{ bench: Bench; places: Place[]; world: World }> {
  const world = await makeWorld(t)
  const folder = journalFolder()
  t.after(() => rmSync(folder, { recursive: true }))
  const bench = new Bench(t, world, folder)
  const first = await bench.start()
  await first.peer.upload(blob)
  assert.ok(await bench.publish(first, bench.version()))
  await kill(first)
  // What is counted is the first publish after a start on what a kill left, as it will be each time.
  const victim = await bench.start()
  const version = bench.version()
  const places = await survey(victim.pid, join(folder, "survey"), () => bench.publish(victim, version))
  await kill(victim)
  return { bench, places, world }
}

interface Outcome {
  readonly acknowledged: boolean
  /** Whether it ended by itself, or by the fault. */
  readonly ended: boolean
}

/** The publish with a fault in it; and afterwards, on a registry that is whole again, the same publish must succeed. */
async function suffer(bench: Bench, place: Place, fault: string): Promise<Outcome> {
  const victim = await bench.start()
  const version = bench.version()
  const acknowledged = await withFault(victim.pid, place, fault, () => bench.publish(victim, version))
  const ended = acknowledged ? await isGone(victim, 50) : await isGone(victim, 5000)
  await kill(victim)
  const whole = await bench.start()
  const again = await bench.publish(whole, version)
  await kill(whole)
  assert.ok(again, `${version} can't be published after ${fault} at ${place.shown}`)
  return { acknowledged, ended }
}

const isGone = (victim: Victim, ms: number): Promise<boolean> =>
  Promise.race([victim.gone.then(() => true), sleep(ms).then(() => false)])

test("killed at every write, sync and rename of one publish", { timeout: 900_000 }, async (t) => {
  if (!needsStrace(t)) return
  const { bench, places } = await open(t)
  let reached = 0
  for (const place of places) {
    const { ended, acknowledged } = await suffer(bench, place, "signal=SIGKILL")
    t.diagnostic(
      `${ended ? "killed" : "passed"}${acknowledged ? ", acknowledged" : ""}: ${place.thread} ${place.shown}`,
    )
    if (ended) reached += 1
  }
  t.diagnostic(`${reached} of ${places.length} places reached: ${bench.verdict}`)
  assert.ok(
    places.some(({ call }) => syncs.includes(call)),
    "a publish that syncs nothing",
  )
  // Which thread wakes which is not the same every time: a few calls of the survey do not come again.
  assert.ok(reached > places.length * 0.7)
})

for (const [error, calls] of [
  ["EIO", syncs],
  ["ENOSPC", [...writes, ...names]],
] as const) {
  test(`${error} from every ${calls === syncs ? "sync" : "write"} of one publish`, { timeout: 900_000 }, async (t) => {
    if (!needsStrace(t)) return
    const { bench, places, world } = await open(t)
    // Sockets and event descriptors are no disk.
    const disk = places.filter(({ call, shown }) => calls.includes(call) && shown.includes(world.folder))
    assert.ok(disk.length > 0, JSON.stringify(places))
    for (const place of disk) {
      const { acknowledged, ended } = await suffer(bench, place, `error=${error}`)
      t.diagnostic(`${acknowledged ? "acknowledged" : "refused"}, ${ended ? "ended" : "carries on"}: ${place.shown}`)
      assert.ok(acknowledged || ended, `carries on in doubt after ${error} at ${place.shown}`)
    }
    t.diagnostic(`${disk.length} places: ${bench.verdict}`)
  })
}

test("killed at every write and sync of the very first start", { timeout: 900_000 }, async (t) => {
  if (!needsStrace(t)) return
  const counted = await makeWorld(t)
  const out = join(counted.folder, "strace")
  const calls = [...syncs, "pwrite64", "rename", "link"]
  await kill(await startVictim(t, counted, {}, ["strace", "-f", "-q", "-o", out, "-e", `trace=${calls.join(",")}`]))
  let killed = 0
  for (const [call, count] of countCalls(out, calls)) {
    const step = syncs.includes(call) || process.env["WEIGHLOCK_FAULTS"] === "all" ? 1 : 5
    t.diagnostic(`${call} ×${count}, every ${step}`)
    for (let nth = 1; nth <= count; nth += step) {
      const world = await makeWorld(t)
      const under = underStrace(join(world.folder, "strace"), call, "signal=SIGKILL", nth)
      const victim = await startVictim(t, world, {}, under).catch(() => null)
      if (victim) await kill(victim)
      else killed += 1
      const whole = await startVictim(t, world)
      const checker = new Checker(openKey(vkeyOf(world)))
      checker.take(await readLog(overHttp(whole.peer.url)))
      assert.equal(checker.verdict.size, 2, `${call} ${nth}`)
      await kill(whole)
      rmSync(world.folder, { recursive: true })
    }
  }
  t.diagnostic(`${killed} starts killed`)
  assert.ok(killed > 5)
})
