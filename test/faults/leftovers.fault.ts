/**
 * kill -9 of a registry that proves uploads, again and again: a day later its folder or bucket holds no blob that its ledger
 * does not know, and every blob of a version that was acknowledged.
 */
import assert from "node:assert/strict"
import { globSync } from "node:fs"
import { basename, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { test, type TestContext } from "node:test"

import { signHeaders } from "@weighlock/registry/s3"

import { makeWorld, type Peer, random, sha256, signed, type World } from "../registry/support.ts"
import { Rgw } from "../support/rgw.ts"
import { missing, type Place } from "./counted-shop.ts"
import { kill, sleep, startVictim } from "./victim.ts"

const kills = process.env["WEIGHLOCK_FAULTS"] === "all" ? 60 : 10
const twoDays = 2 * 86_400_000

interface Scene {
  /** For the registry. */
  readonly config: object
  /** So many upload at once: enough to be killed in the middle of, few enough that some are done. */
  readonly uploaders: number
  /** Digests of the blobs that are in their place. */
  stored(): Promise<readonly string[]>
}

const scenes: Readonly<Record<Place, (t: TestContext, world: World) => Promise<Scene>>> = {
  folder: async (_, { folder }) => ({
    config: {},
    uploaders: 32,
    stored: async () => globSync(join(folder, "data", "blobs", "??", "*")).map((path) => basename(path)),
  }),
  bucket: async (t) => {
    const rgw = await Rgw.start()
    t.after(() => rgw.stop())
    rgw.useAccount()
    await rgw.createBucket("models")
    return {
      config: { store: { store: "s3://models/prod", endpoint: rgw.endpoint } },
      uploaders: 8,
      stored: async () => {
        const url = new URL("/models?list-type=2&prefix=prod%2Fblobs%2F", rgw.endpoint)
        const signing = { credentials: rgw.account, region: "us-east-1", at: new Date() }
        const answer = await fetch(url, { headers: signHeaders("GET", url, sha256(Buffer.alloc(0)), signing) })
        const text = await answer.text()
        assert.match(text, /<IsTruncated>false</)
        return [...text.matchAll(/<Key>[^<]*\/([0-9a-f]{64})<\/Key>/g)].map(([, digest = ""]) => digest)
      },
    }
  },
}

/** Uploads files, and publishes each with a version of its own, until the registry is gone. Answers what was acknowledged. */
async function publishUntilGone(
  peer: Peer,
  world: World,
  round: number,
  uploaders: number,
  onAcknowledged: () => void,
): Promise<string[]> {
  const acknowledged: string[] = []
  const worker = async (number: number): Promise<void> => {
    for (let i = 0; ; i++) {
      const bytes = random(i % 8 === 7 ? 9_000_000 : 1000)
      if ((await peer.upload(bytes)).json.state !== "present") continue
      const envelope = await signed(world, [bytes], { version: `${round}.${number}.${i}` })
      if ((await peer.publish(envelope)).status !== 201) continue
      acknowledged.push(sha256(bytes))
      onAcknowledged()
    }
  }
  await Promise.allSettled(Array.from({ length: uploaders }, (_, number) => worker(number)))
  return acknowledged
}

/** With Node's own SQLite, none of the registry's code. */
function recorded(ledger: string): ReadonlySet<string> {
  const db = new DatabaseSync(ledger)
  const rows = db.prepare("SELECT sha256 FROM blobs").all()
  db.prepare("UPDATE unrecorded_blobs SET noted_at = noted_at - ?").run(twoDays)
  db.close()
  return new Set(rows.map((row) => String(row["sha256"])))
}

for (const place of ["folder", "bucket"] as const) {
  const skip = missing(place)
  test(`${place}: ${kills} kills leave nothing for ever`, { skip, timeout: 120_000 + kills * 15_000 }, async (t) => {
    const world = await makeWorld(t)
    const { config, uploaders, stored } = await scenes[place](t, world)
    const acknowledged: string[] = []
    for (let round = 0; round < kills; round++) {
      const victim = await startVictim(t, world, config)
      const first = Promise.withResolvers<void>()
      const load = publishUntilGone(victim.peer, world, round, uploaders, first.resolve)
      if (round % 2 === 1) await first.promise // on a slow machine too
      await sleep(50 + Math.random() * 500)
      await kill(victim)
      acknowledged.push(...(await load))
    }
    const known = recorded(join(world.folder, "data", "ledger.sqlite"))
    const unknown = async (): Promise<readonly string[]> => (await stored()).filter((digest) => !known.has(digest))
    t.diagnostic(`${(await unknown()).length} of ${(await stored()).length} blobs were unknown to the ledger`)
    const { peer } = await startVictim(t, world, config)
    for (let i = 0; i < 600 && (await unknown()).length > 0; i++) await sleep(100)
    assert.deepEqual(await unknown(), [])
    assert.ok(acknowledged.length > 0, "nothing was ever published")
    for (const digest of acknowledged)
      assert.equal((await peer.call("HEAD", `/api/v1/blobs/sha256/${digest}`)).status, 200)
  })
}
