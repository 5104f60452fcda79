/** Blobs that nobody needs go, and what the ledger knows has its bytes, whatever happens at the same time. */
import assert from "node:assert/strict"
import { mkdtempSync } from "node:fs"
import { rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { DatabaseSync } from "node:sqlite"
import { type TestContext, test } from "node:test"
import { setImmediate, setTimeout as pause } from "node:timers/promises"

import { modelHasher } from "@weighlock/manifest/node"
import {
  type BlobFacts,
  type BlobStore,
  FolderBlobStore,
  RegistryGrants,
  Sequencer,
  SqliteLedger,
  Uploads,
  grantHeader,
} from "@weighlock/registry"

import { type Parcel, parcel } from "../contract/blob-store.ts"

interface Bench {
  readonly folder: string
  readonly uploads: Uploads
  readonly ledger: SqliteLedger
  readonly store: FolderBlobStore
  /** Sends the bytes, so that they can be completed. */
  send(sent: Parcel): Promise<void>
  forget(): Promise<void>
}

const sequencing = { maxItems: 10_000, maxBytes: 1e9, sizeOf: () => 100, onFailed: assert.ifError }

/** `altered`: what the store does otherwise. `folder`: as another process left it. */
async function open(
  t: TestContext,
  altered: (store: FolderBlobStore) => Partial<BlobStore> = () => ({}),
  folder = mkdtempSync(join(tmpdir(), "weighlock-expiry-")),
): Promise<Bench> {
  const hasher = modelHasher(1)
  const ledger = new SqliteLedger(join(folder, "ledger.sqlite"))
  t.after(async () => {
    await ledger.close()
    await hasher.close()
    await rm(folder, { recursive: true, force: true })
  })
  const store = await FolderBlobStore.open(folder, hasher, new RegistryGrants(() => "http://127.0.0.1:1"))
  const own: BlobStore = {
    size: (sha256) => store.size(sha256),
    read: (sha256) => store.read(sha256),
    link: () => store.link(),
    declare: (upload, most) => store.declare(upload, most),
    complete: (sha256) => store.complete(sha256),
    remove: (sha256) => store.remove(sha256),
    expire: async () => 0, // of uploads; this is about blobs
    reach: () => store.reach(),
  }
  const records = new Sequencer<BlobFacts, BlobFacts>((batch) => ledger.recordBlobs(batch), sequencing)
  const notes = new Sequencer<string, unknown>((batch) => ledger.noteUnrecorded(batch).then(() => batch), sequencing)
  const uploads = new Uploads({
    ledger,
    blobs: { ...own, ...altered(store) },
    records,
    notes,
    forgetBlobs: (before) => ledger.forgetBlobs(before),
    answerMs: 10_000,
    onDamaged: () => undefined,
  })
  const send = async ({ upload, bytes }: Parcel): Promise<void> => {
    const [grant] = await store.declare(upload, 1)
    const part = { grant: grant?.headers[grantHeader], sha256: upload.sha256, number: 1 }
    await store.writePart(part, Readable.from([bytes], { objectMode: false }), (sha256) => uploads.known(sha256))
  }
  return { folder, uploads, ledger, store, send, forget: () => uploads.expire(Date.now() + 60_000) }
}

async function requireTrue({ ledger, store }: Bench, digests: readonly string[]): Promise<void> {
  for (const { sha256, size } of (await ledger.blobs(digests)).values()) assert.equal(await store.size(sha256), size)
}

test("one that can't be removed keeps no other, and is removed next time", async (t) => {
  const sent = Array.from({ length: 40 }, () => parcel(10))
  const bad = sent[3]?.upload.sha256
  let fails = true
  const bench = await open(t, (store) => ({
    remove: async (sha256) => {
      if (fails && sha256 === bad) throw new Error("EIO")
      await store.remove(sha256)
    },
  }))
  for (const each of sent) {
    await bench.send(each)
    await bench.uploads.complete(each.upload.sha256)
  }
  await assert.rejects(bench.forget(), { code: "UNAVAILABLE", message: /^1 blobs/ })
  const left = async (): Promise<readonly string[]> => {
    const sizes = await Promise.all(
      sent.map(async ({ upload }) => [upload.sha256, await bench.store.size(upload.sha256)]),
    )
    return sizes.flatMap(([sha256, size]) => (size === null ? [] : [String(sha256)]))
  }
  assert.deepEqual(await left(), [bad])
  fails = false
  await bench.forget()
  assert.deepEqual(await left(), [])
})

test("a removal that hangs holds up the proof of its own digest only", async (t) => {
  const [gone, other] = [parcel(10), parcel(10)]
  const hanging = Promise.withResolvers<void>()
  const bench = await open(t, (store) => ({ remove: (sha256) => hanging.promise.then(() => store.remove(sha256)) }))
  await bench.send(gone)
  await bench.uploads.complete(gone.upload.sha256)
  const forgetting = bench.forget()
  while ((await bench.ledger.blobs([gone.upload.sha256])).size > 0) await setImmediate()
  await setImmediate()
  await bench.send(other)
  assert.equal(await bench.uploads.complete(other.upload.sha256), "present")
  const again = bench.uploads.complete(gone.upload.sha256).catch((error: unknown) => error)
  hanging.resolve()
  await forgetting
  assert.equal(((await again) as { code?: string }).code, "NOT_FOUND") // its bytes were gone before it was looked for
  await requireTrue(bench, [gone.upload.sha256, other.upload.sha256])
})

test("a proof that began before its digest was forgotten keeps its bytes", async (t) => {
  const sent = parcel(10)
  const { sha256 } = sent.upload
  let placed = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  let holds = false
  const bench = await open(t, (store) => ({
    complete: async (digest) => {
      const facts = await store.complete(digest)
      placed.resolve()
      if (holds) await held.promise
      return facts
    },
  }))
  await bench.send(sent)
  await bench.uploads.complete(sha256)
  await bench.store.remove(sha256) // damaged: it is sent and proven again
  holds = true
  placed = Promise.withResolvers<void>()
  await bench.send(sent)
  const proof = bench.uploads.complete(sha256)
  await placed.promise
  await setImmediate()
  const forgetting = bench.forget()
  while ((await bench.ledger.blobs([sha256])).size > 0) await setImmediate()
  for (let i = 0; i < 20; i++) await setImmediate()
  held.resolve()
  assert.equal(await proof, "present")
  await forgetting
  assert.equal((await bench.ledger.blobs([sha256])).size, 1)
  await requireTrue(bench, [sha256])
})

const died = new Error("killed")

test("killed between placing a blob and recording it: its bytes go a day later, at whatever start", async (t) => {
  const [lost, again] = [parcel(10), parcel(10)]
  const bench = await open(t, (store) => ({
    complete: async (digest) => {
      await store.complete(digest)
      throw died
    },
  }))
  for (const sent of [lost, again]) {
    await bench.send(sent)
    await assert.rejects(bench.uploads.complete(sent.upload.sha256), died)
    assert.equal(await bench.store.size(sent.upload.sha256), 10)
  }
  const restarted = await open(t, () => ({}), bench.folder)
  await restarted.uploads.expire(Date.now() - 60_000) // not yet
  assert.equal(await bench.store.size(lost.upload.sha256), 10)
  assert.equal(await restarted.uploads.complete(again.upload.sha256), "present") // asked for again: proven where it is
  await restarted.uploads.expire(Date.now() + 60_000)
  assert.equal(await bench.store.size(lost.upload.sha256), null)
  assert.deepEqual(await bench.ledger.forgetBlobs(Date.now() + 60_000), [])
})

/** A blob that the ledger has forgotten, and whose bytes are there. */
async function forgottenAndKept(t: TestContext, sent: Parcel): Promise<Bench> {
  const bench = await open(t, () => ({ remove: () => Promise.reject(died) }))
  await bench.send(sent)
  await bench.uploads.complete(sent.upload.sha256)
  await assert.rejects(bench.forget(), { code: "UNAVAILABLE" })
  return bench
}

test("killed between forgetting a blob and removing it: the next start removes it", async (t) => {
  const sent = parcel(10)
  const { sha256 } = sent.upload
  const bench = await forgottenAndKept(t, sent)
  assert.deepEqual([(await bench.ledger.blobs([sha256])).size, await bench.store.size(sha256)], [0, 10])
  const restarted = await open(t, () => ({}), bench.folder)
  await restarted.forget()
  assert.equal(await bench.store.size(sha256), null)
})

test("a blob that is proven once more after a kill keeps its bytes, and its note goes", async (t) => {
  const sent = parcel(10)
  const { sha256 } = sent.upload
  const bench = await forgottenAndKept(t, sent)
  const restarted = await open(t, () => ({}), bench.folder)
  await restarted.send(sent)
  assert.equal(await restarted.uploads.complete(sha256), "present")
  assert.deepEqual(notesIn(bench.folder), [])
  await restarted.uploads.expire(Date.now() - 60_000)
  assert.equal((await restarted.ledger.blobs([sha256])).size, 1)
  await requireTrue(restarted, [sha256])
})

test("a blob that was noted long ago and is recorded keeps its bytes", async (t) => {
  const sent = parcel(10)
  const bench = await open(t)
  await bench.send(sent)
  await bench.uploads.complete(sent.upload.sha256)
  await bench.ledger.noteUnrecorded([sent.upload.sha256]) // as one that is being healed
  await pause(5)
  const before = Date.now()
  const db = new DatabaseSync(join(bench.folder, "ledger.sqlite"))
  db.exec("DROP TRIGGER blobs_never_updated; UPDATE blobs SET recorded_at = recorded_at + 60000")
  db.close()
  await bench.uploads.expire(before)
  assert.equal(await bench.store.size(sent.upload.sha256), 10)
})

test("noted again while the bytes of before are removed: the note stays", async (t) => {
  const sent = parcel(10)
  const { sha256 } = sent.upload
  const removing = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const bench = await open(t, (store) => ({
    remove: async (digest) => {
      removing.resolve()
      await released.promise
      await store.remove(digest)
    },
  }))
  await bench.send(sent)
  await bench.uploads.complete(sha256)
  await pause(5)
  const expiring = bench.uploads.expire(Date.now())
  await removing.promise
  await pause(5)
  await bench.ledger.noteUnrecorded([sha256])
  released.resolve()
  await expiring
  assert.deepEqual(notesIn(bench.folder), [sha256])
})

test("an upload that was never sent leaves no note", async (t) => {
  const bench = await open(t)
  await assert.rejects(bench.uploads.complete("0".repeat(64)), { code: "NOT_FOUND" })
  assert.deepEqual(notesIn(bench.folder), [])
})

/** With Node's own SQLite, none of the registry's code. */
function notesIn(folder: string): readonly unknown[] {
  const db = new DatabaseSync(join(folder, "ledger.sqlite"), { readOnly: true })
  const rows = db.prepare("SELECT sha256 FROM unrecorded_blobs").all()
  db.close()
  return rows.map((row) => row["sha256"])
}
