/**
 * Makes a data folder anew from what was published: the static files of the log (a published folder, or what
 * `weighlock log export` wrote), and the blobs as far as they are there. The root is the one that was signed, or nothing is made.
 *
 *     await rebuild({ source: "export", blobs: "old/blobs", data: "/var/lib/weighlock", trust: "trust.json" })
 *     { size: 1042, root: "nND/nri/…=", versions: 1040,
 *       missing: [{ model: "acme/mnist", version: "1.0.0", path: "weights.bin", sha256: "5891b5b5…" }] }
 *
 * A blob that is missing is asked for again by whoever publishes its files again; the version is there all the same.
 *
 * A source that is behind what was published makes nothing either: see newest-known.ts.
 */
import { readdir, rm } from "node:fs/promises"
import { join } from "node:path"

import { encodeBase64 } from "@weighlock/manifest"
import { makeFolder, moveDurably } from "@weighlock/node"

import { openTrust } from "../config.ts"
import { RegistryError } from "../errors.ts"
import { SqliteLedger } from "../store/ledger-sqlite.ts"
import { type StoreRecord, writeStoreRecord } from "../store/store-record.ts"
import { lockWriter } from "../store/writer-lock.ts"
import { BlobCopier, BlobFinder, type BlobTaker } from "./blob-copier.ts"
import { type BlobTarget, BlobUploader } from "./blob-uploader.ts"
import { CheckpointCopy } from "./checkpoint-copy.ts"
import type { BlobSource } from "./examine/blob-source.ts"
import { newestKnown, readCheckpoint } from "./newest-known.ts"
import { type MissingFile, type RebuildProgress, Rebuilding } from "./rebuilding.ts"
import { proveStart } from "./start-proof.ts"

export interface RebuildOptions {
  /** A folder with `checkpoint`, `tile/` and `payload/`. */
  readonly source: string
  /** The folder to make: absent, or without a ledger. */
  readonly data: string
  /** The trust root's envelope, or the path of the file. */
  readonly trust: string | Uint8Array
  /** A data folder, or its `blobs`: copied, into the bucket if there is one, as far as their digests hold. */
  readonly blobs?: string
  /** The bucket that has the blobs, or gets them. Its name is written down in the new folder. */
  readonly bucket?: BlobTarget & { readonly record: StoreRecord; readonly blobs: BlobSource }
  /** By default `checkpoint` in the data folder. Needed, unless one of the next two is told. */
  readonly checkpointCopy?: string
  /** A file with the newest checkpoint that anybody has. */
  readonly checkpoint?: string
  /** Nothing newer than the source was ever published: the operator's word for it. */
  readonly newest?: boolean
}

export interface Rebuilt {
  readonly size: number
  /** base64 */
  readonly root: string
  readonly versions: number
  readonly missing: readonly MissingFile[]
}

/**
 * Throws USAGE (no such source, a folder in use, nothing to tell whether the source is behind), CONFLICT (somebody works there),
 * STORE_FAILED (the source is not what the log signed, or behind).
 */
export async function rebuild(options: RebuildOptions, onProgress?: RebuildProgress): Promise<Rebuilt> {
  const { data, checkpointCopy = join(data, "checkpoint") } = options
  await makeFolder(data)
  const lock = lockWriter(join(data, "writer.lock"))
  try {
    const copyLock = await CheckpointCopy.lock(checkpointCopy)
    try {
      return await rebuildAlone({ ...options, checkpointCopy }, onProgress)
    } finally {
      copyLock.release()
    }
  } finally {
    lock.release()
  }
}

async function rebuildAlone(
  options: RebuildOptions & { readonly checkpointCopy: string },
  onProgress?: RebuildProgress,
): Promise<Rebuilt> {
  const { source, data, checkpointCopy } = options
  const trustChain = await openTrust(options.trust)
  const { checkpoint, note } = await readCheckpoint(join(source, "checkpoint"), trustChain.current.log)
  if ((await readdir(data)).includes("ledger.sqlite")) {
    throw new RegistryError("USAGE", `${data} has a ledger already`, { hint: "rebuild into an empty folder" })
  }
  const known = await newestKnown(options, checkpoint, trustChain.current.log)
  const path = join(data, "ledger.sqlite.rebuilding")
  await removeLedger(path)
  const ledger = new SqliteLedger(path)
  try {
    const { blobs, bucket } = options
    const taker = await takerFor(blobs, bucket, data)
    const rebuilding = new Rebuilding(ledger, trustChain, source, taker)
    await rebuilding.run(checkpoint, note, onProgress)
    if (known) await rebuilding.requireState(known)
    if ((await CheckpointCopy.read(checkpointCopy)) === null) await writeCopy(checkpointCopy, note)
    await proveStart({ rows: ledger.rows(), trustChain, copy: checkpointCopy }) // a copy that knows more entries refuses
    if (bucket) await writeStoreRecord(data, bucket.record)
    await ledger.close()
    await moveDurably(path, join(data, "ledger.sqlite"))
    return { size: checkpoint.size, root: encodeBase64(checkpoint.root), ...rebuilding.counts() }
  } catch (error) {
    await ledger.close()
    await removeLedger(path)
    throw error
  }
}

async function takerFor(blobs: string | undefined, bucket: RebuildOptions["bucket"], data: string): Promise<BlobTaker> {
  if (bucket === undefined) return await BlobCopier.open(blobs, data)
  return blobs === undefined ? new BlobFinder(bucket.blobs) : await BlobUploader.open(blobs, bucket)
}

async function writeCopy(path: string, note: string): Promise<void> {
  const copy = await CheckpointCopy.open(path, null)
  await copy.write(note)
  await copy.close()
}

async function removeLedger(path: string): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) await rm(path + suffix, { force: true })
}
