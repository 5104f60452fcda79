/**
 * Bits that flip where SQLite does not look: in its file, and in the WAL of a registry that was killed, where one flipped bit
 * makes SQLite drop every commit after it without a word. Refused at start, found by an audit, or without any effect.
 */
import assert from "node:assert/strict"
import { cpSync, readFileSync, rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"

import { audit } from "@weighlock/client"

import { makeWorld, startPeer, type World } from "../registry/support.ts"
import { tempFolder } from "../support/temp.ts"
import { checkLog } from "./checker/check.ts"
import { Journal, journalFolder } from "./checker/journal.ts"
import { openKey } from "./checker/note.ts"
import { overHttp, readLog } from "./checker/served-log.ts"
import { flipBit } from "./export-edit.ts"
import { blob, publishMany, vkeyOf } from "./load.ts"
import { kill, StartRefused, startVictim } from "./victim.ts"

const flips = process.env["WEIGHLOCK_FAULTS"] === "all" ? 400 : 40

interface Kept {
  readonly world: World
  readonly journal: Journal
}

/** 300 acknowledged publishes, and then the end: in order, or by a kill. */
async function history(t: TestContext, killed: boolean): Promise<Kept> {
  const world = await makeWorld(t)
  const folder = journalFolder()
  t.after(() => rmSync(folder, { recursive: true }))
  const journal = new Journal(folder)
  if (killed) {
    const victim = await startVictim(t, world)
    await victim.peer.upload(blob)
    await publishMany(victim.peer, { world, journal, inFlight: 8 }, 0, 300)
    await kill(victim)
  } else {
    const peer = await startPeer(t, {}, world)
    await peer.upload(blob)
    await publishMany(peer, { world, journal, inFlight: 8 }, 0, 300)
    await peer.close()
  }
  return { world, journal }
}

type Outcome = "refused at start" | "found by audit" | "found when read" | "no effect"

/** Throws when something that was promised is missing and nobody said so. */
async function judge(t: TestContext, { world, journal }: Kept): Promise<Outcome> {
  const victim = await startVictim(t, world).catch((error: unknown) => {
    if (error instanceof StartRefused) return null
    throw error
  })
  if (!victim) return "refused at start"
  try {
    const report = await audit({
      source: { kind: "registry", url: victim.peer.url },
      trust: world.trust,
      state: join(world.folder, "state"),
    })
    if (report.findings.length > 0) return "found by audit"
    const verdict = checkLog(await readLog(overHttp(victim.peer.url)), journal.lines(), openKey(vkeyOf(world)))
    assert.equal(verdict.acknowledged, 300)
    return "no effect"
  } catch (error) {
    // The registry looks at what it reads before it serves it.
    if ((error as { code?: string }).code === "UNAVAILABLE") return "found when read"
    throw error
  } finally {
    await kill(victim)
  }
}

/** One bit in each of so many places, evenly spread. */
async function flipAll(t: TestContext, kept: Kept, file: string, count: number): Promise<Map<Outcome, number>> {
  const outcomes = new Map<Outcome, number>()
  const bits = statSync(join(kept.world.folder, "data", file)).size * 8
  for (let i = 0; i < count; i++) {
    const folder = tempFolder(t)
    cpSync(kept.world.folder, folder, { recursive: true })
    const bit = Math.floor((bits * (i + 0.37)) / count)
    flipBit(join(folder, "data", file), bit)
    const world = { ...kept.world, folder, trust: join(folder, "trust.json") }
    try {
      const outcome = await judge(t, { ...kept, world })
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    } catch (cause) {
      throw new Error(`bit ${bit} of ${file}: ${(cause as Error).message}`, { cause })
    }
    rmSync(folder, { recursive: true })
  }
  return outcomes
}

test("one flipped bit in the database", { timeout: 60_000 + flips * 15_000 }, async (t) => {
  const kept = await history(t, false)
  const outcomes = await flipAll(t, kept, "ledger.sqlite", flips)
  t.diagnostic(JSON.stringify([...outcomes]))
  assert.ok((outcomes.get("refused at start") ?? 0) > 0)
})

test("one flipped bit in the WAL of a killed registry", { timeout: 60_000 + flips * 15_000 }, async (t) => {
  const kept = await history(t, true)
  const wal = readFileSync(join(kept.world.folder, "data", "ledger.sqlite-wal"))
  assert.ok(wal.length > 100_000, "nothing in the WAL to flip")
  const outcomes = await flipAll(t, kept, "ledger.sqlite-wal", flips)
  t.diagnostic(JSON.stringify([...outcomes]))
  assert.ok((outcomes.get("refused at start") ?? 0) > 0)
})
