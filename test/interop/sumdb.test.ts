/**
 * A second opinion on our logs: Go's own golang.org/x/mod/sumdb opens the checkpoint, reads every entry through its tile
 * reader, recomputes all of it, and makes proofs that must equal ours; tessera's fsck accepts the same log.
 *
 * The log is a real registry's, grown over HTTP by really signed publishes, and looked at exactly at the sizes where tiles
 * begin, fill and spill over: as it is served, and as the folder that the registry publishes it to.
 */
import assert from "node:assert/strict"
import { cpSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"

import { entriesOf, rewrite } from "../faults/export-edit.ts"
import { blob, publishMany, vkeyOf } from "../faults/load.ts"
import { startVictim } from "../faults/victim.ts"
import { makeWorld, type Peer } from "../registry/support.ts"
import { tempFolder } from "../support/temp.ts"
import { buildCheck, buildTools, type GoTools, run } from "./go-code.ts"
import { serveFolder } from "./static-server.ts"

interface Report {
  readonly size: number
  readonly leaves: number
  readonly tiles: number
  readonly inclusion: number
  readonly consistency: number
}

/** Both readers, on one log. */
class Readers {
  readonly #check: string
  readonly #tools: GoTools | null
  readonly #vkey: string
  readonly #vkeyFile: string

  constructor(check: string, tools: GoTools | null, vkey: string, folder: string) {
    this.#check = check
    this.#tools = tools
    this.#vkey = vkey
    this.#vkeyFile = join(folder, "vkey")
    writeFileSync(this.#vkeyFile, vkey)
  }

  /** `api`: the registry whose helper routes must answer the same proofs. */
  async read(t: TestContext, url: string, size: number, api?: string): Promise<void> {
    const argv = ["-log", url, "-vkey", this.#vkey, ...(api === undefined ? [] : ["-api", api])]
    const found = JSON.parse(await run(this.#check, argv)) as Report
    t.diagnostic(JSON.stringify(found))
    assert.deepEqual([found.size, found.leaves], [size, size])
    if (this.#tools === null) return
    // It ends with 0 whatever it finds: what it says is the verdict.
    const said = await run(this.#tools.fsck, ["-ui=false", `-storage_url=${url}/`, `-public_key=${this.#vkeyFile}`])
    assert.match(said, new RegExp(`Successfully fsck'd log with size ${size} `))
  }
}

const sizes = [2, 255, 256, 257, 65_536, 65_537, 70_000]

/** The folder follows at most a second behind. */
async function published(folder: string, size: number): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    if (checkpointSize(folder) === size) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`the folder is at ${checkpointSize(folder)}, not at ${size}`)
}

function checkpointSize(folder: string): number {
  try {
    return Number(readFileSync(join(folder, "checkpoint"), "utf8").split("\n")[1])
  } catch {
    return 0
  }
}

async function grow(peer: Peer, from: number, to: number): Promise<void> {
  await publishMany(peer, { world: peer.world, inFlight: 64 }, from, to - from)
}

test("Go's sumdb and tessera's fsck read our logs", { timeout: 900_000 }, async (t) => {
  const folder = tempFolder(t)
  const check = await buildCheck(t, folder)
  if (check === null) return
  const tools = await buildTools(t, folder)
  const directory = join(folder, "published")
  const world = await makeWorld(t)
  // In a process of its own: it has a core for itself while the publishers sign.
  const { peer } = await startVictim(t, world, { publishLog: directory })
  const readers = new Readers(check, tools, vkeyOf(world), folder)
  const mirror = await serveFolder(t, directory)
  await peer.upload(blob)
  let size = 2
  for (const wanted of sizes) {
    await grow(peer, size, wanted)
    size = wanted
    await t.test(`served, at ${size}`, (t) => readers.read(t, `${peer.url}/log`, size, peer.url))
    await published(directory, size)
    await t.test(`published to a folder, at ${size}`, (t) => readers.read(t, mirror, size))
  }
  // Genesis and trust root are one commit, so no registry is ever seen at 1: the same first entry, alone.
  const first = join(folder, "first")
  cpSync(directory, first, { recursive: true })
  await rewrite(first, world, (await entriesOf(first)).slice(0, 1))
  const alone = await serveFolder(t, first)
  await t.test("the first entry alone, at 1", (t) => readers.read(t, alone, 1))
})
