/** Whatever ends the process: no two trees of one size are ever cosigned, and what was cosigned is never forgotten. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { type TestContext, test } from "node:test"
import { fileURLToPath } from "node:url"
import { addLog, initWitness } from "@weighlock/registry"
import { parseCheckpoint, parseNote } from "@weighlock/tlog"
import { firstLine } from "../registry/support.ts"
import { GrownLog, origin } from "./grown-log.ts"
import { ask, cosignedAt, folderOf, name } from "./support.ts"
import { some } from "../support/thorough.ts"

const script = fileURLToPath(new URL("serve-child.ts", import.meta.url))
const place = `/${createHash("sha256").update(origin).digest("hex")}/checkpoint`
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

async function spawnWitness(t: TestContext, data: string): Promise<{ url: string; child: ChildProcess }> {
  const child = spawn(process.execPath, [script, data], { stdio: ["ignore", "pipe", "inherit"] })
  t.after(() => child.kill("SIGKILL"))
  return { url: await firstLine(child), child }
}

/** The branch that the witness follows, of those it was shown; the start while it follows none. */
async function followed(url: string, branches: readonly GrownLog[]): Promise<GrownLog> {
  const response = await fetch(url + place)
  if (response.status === 404) return branches[0] ?? new GrownLog()
  assert.equal(response.status, 200)
  const { size, root } = parseCheckpoint(parseNote(await response.text()).text)
  const branch = branches.find((each) => each.size >= size && hex(each.root(size)) === hex(root))
  assert.ok(branch !== undefined, `the witness is at ${size}, where it was never shown that tree`)
  return branch.size === size ? branch : Promise.reject(new Error("a branch is shown whole"))
}

interface Journal {
  readonly vkey: string
  /** Root (hex) by size, of everything that was cosigned. */
  readonly roots: Map<number, string>
}

/** Three histories of one log from here, each twice, all at once. */
async function show(url: string, base: GrownLog, journal: Journal): Promise<readonly GrownLog[]> {
  const branches = ["a", "b", "c"].map((kind, more) => base.fork().grow(1 + (more % 2), kind))
  const shown = [...branches, ...branches].map(async (branch) => {
    const { status, body } = await ask(url, await branch.request(base.size))
    if (status !== 200) return assert.equal(status, 409)
    assert.ok(cosignedAt(journal.vkey, await branch.note(), body) > 0)
    const root = hex(branch.root())
    assert.equal(journal.roots.get(branch.size) ?? root, root, `two trees of ${branch.size} entries were cosigned`)
    return void journal.roots.set(branch.size, root)
  })
  const outcomes = await Promise.allSettled(shown)
  for (const outcome of outcomes) {
    if (outcome.status === "rejected" && outcome.reason instanceof assert.AssertionError) throw outcome.reason
  }
  return [base, ...branches]
}

test("kill -9 under load, again and again: one tree a size, and none forgotten", async (t) => {
  const data = folderOf(t)
  let branches: readonly GrownLog[] = [new GrownLog().grow(1)]
  const { vkey } = await initWitness({ data, name })
  await addLog({ data, vkey: branches[0]?.signer.vkey ?? "" })
  const rounds = some(8, 3)
  const journal: Journal = { vkey, roots: new Map() }
  for (let round = 0; round < rounds; round++) {
    const { url, child } = await spawnWitness(t, data)
    const base = await followed(url, branches)
    if (journal.roots.size === 0) await ask(url, await base.request(0))
    branches = [base]
    const gone = once(child, "exit")
    const before = journal.roots.size
    let doomed = false
    while (child.exitCode === null && child.signalCode === null) {
      try {
        if (!doomed && journal.roots.size > before + round) {
          doomed = true
          setTimeout(() => child.kill("SIGKILL"), round * 7)
        }
        branches = await show(url, await followed(url, branches), journal)
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        break // it was killed between two requests
      }
    }
    await gone
  }
  t.diagnostic(`${journal.roots.size} trees cosigned, killed ${rounds} times under load`)
  const { url } = await spawnWitness(t, data)
  const last = await followed(url, branches)
  for (const [size, root] of journal.roots) {
    assert.ok(size <= last.size, `${size} was cosigned, and the witness is at ${last.size}`)
    assert.equal(hex(last.root(size)), root)
  }
})
