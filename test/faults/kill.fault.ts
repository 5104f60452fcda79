/**
 * kill -9 at a random moment under load, again and again: 25 times, 200 in the long form. After each the registry is
 * started on what is left, and the independent checker reads the log it serves.
 */
import assert from "node:assert/strict"
import { existsSync, rmSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"

import { makeWorld, type Peer } from "../registry/support.ts"
import { Checker, checkLog } from "./checker/check.ts"
import { Journal, journalFolder } from "./checker/journal.ts"
import { openKey } from "./checker/note.ts"
import { fromFolder, overHttp, readLog } from "./checker/served-log.ts"
import { blob, publishUntilGone, vkeyOf } from "./load.ts"
import { kill, sleep, startVictim } from "./victim.ts"

const kills = process.env["WEIGHLOCK_FAULTS"] === "all" ? 200 : 25

/** Anyone may look at the log at any time: what they were shown must hold for ever. */
async function watch(peer: Peer, journal: Journal): Promise<void> {
  try {
    for (;;) {
      const { status, bytes } = await peer.call("GET", "/log/checkpoint")
      if (status === 200) journal.write({ checkpoint: bytes.toString() })
      await sleep(3)
    }
  } catch {
    // It is dead, as it should be.
  }
}

test(`kill -9 under load, ${kills} times`, { timeout: 60_000 + kills * 15_000 }, async (t) => {
  const world = await makeWorld(t)
  const key = openKey(vkeyOf(world))
  const folder = journalFolder()
  t.after(() => rmSync(folder, { recursive: true }))
  const journal = new Journal(folder)
  const checker = new Checker(key)
  let [round, next, judged, during] = [0, 0, 0, 0]
  const judge = async (peer: Peer): Promise<void> => {
    checker.take(await readLog(overHttp(peer.url), checker.verdict.size))
    const lines = journal.lines()
    for (const line of lines.slice(judged)) checker.line(line)
    judged = lines.length
  }
  // The folder that the log is published to is whole at every moment: whatever its checkpoint needs is there.
  const publishLog = join(world.folder, "published")
  const judgePublished = async (): Promise<void> => {
    if (!existsSync(join(publishLog, "checkpoint"))) return
    const log = await readLog(fromFolder(publishLog))
    checkLog(log, [], key)
    journal.write({ checkpoint: log.checkpoint })
  }
  for (; round < kills; round++) {
    const victim = await startVictim(t, world, { publishLog })
    if (round === 0) await victim.peer.upload(blob)
    await judge(victim.peer)
    const watching = watch(victim.peer, journal)
    const first = Promise.withResolvers<void>()
    const load = publishUntilGone(victim.peer, { world, journal, inFlight: 32, onAcknowledged: first.resolve }, next)
    // Some before anything is acknowledged, most in the middle.
    if (round % 5 > 0) await Promise.race([first.promise, load])
    await sleep(Math.random() * (round % 5 === 1 ? 2000 : 200)) // it is published at most once a second
    assert.equal(victim.stderr(), "", "it complained before it was killed")
    await kill(victim)
    await judgePublished()
    const { acknowledged, sent } = await load
    await watching
    next += sent
    if (acknowledged > 0) during += 1
  }
  const { peer } = await startVictim(t, world)
  await judge(peer)
  // And once more from nothing, every entry and every line of the journal.
  const verdict = checkLog(await readLog(overHttp(peer.url)), journal.lines(), key)
  t.diagnostic(`${round} kills, ${during} after acknowledgements: ${JSON.stringify(verdict)}`)
  assert.equal(verdict.acknowledged, checker.verdict.acknowledged)
  assert.ok(during > kills / 2, "most kills came before anything was acknowledged")
})
