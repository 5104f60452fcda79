/**
 * Takes blobs from a folder into a bucket, as a publisher does: by grants that the bucket enforces, part by part, and each
 * is read back and hashed before it counts. What the bucket has already is not sent again, so a rebuild that was stopped goes on.
 */
import { createHash } from "node:crypto"
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"

import { forEach } from "@weighlock/node"
import { type BlobStore, type Grant, partOf } from "../store/blobs.ts"
import type { BlobFacts } from "../store/ledger.ts"
import { type BlobTaker, blobFolder } from "./blob-copier.ts"

const grantsPerCall = 256
const partsAtOnce = 4

export interface BlobTarget {
  readonly blobs: Pick<BlobStore, "size" | "declare" | "complete">
  /** Sends a part by its grant. Throws UNAVAILABLE. */
  send(grant: Grant, bytes: Uint8Array): Promise<void>
}

export class BlobUploader implements BlobTaker {
  readonly #from: string
  readonly #to: BlobTarget
  readonly #done = new Set<string>()
  readonly missing: Set<string> = new Set()

  private constructor(from: string, to: BlobTarget) {
    this.#from = from
    this.#to = to
  }

  /** `from`: a data folder, or its `blobs`. */
  static async open(from: string, to: BlobTarget): Promise<BlobUploader> {
    return new BlobUploader(await blobFolder(from), to)
  }

  /** Throws UNAVAILABLE when the bucket does not do as told. */
  async copy(blob: BlobFacts): Promise<void> {
    if (this.#done.has(blob.sha256)) return
    this.#done.add(blob.sha256)
    if ((await this.#to.blobs.size(blob.sha256)) === blob.size) return
    const source = await open(join(this.#from, blob.sha256.slice(0, 2), blob.sha256), "r").catch(() => null)
    try {
      if (source === null || !(await this.#sent(blob, source))) this.missing.add(blob.sha256)
    } finally {
      await source?.close()
    }
  }

  /** `false` when the file is not what it should be. */
  async #sent(blob: BlobFacts, source: FileHandle): Promise<boolean> {
    const { blobs } = this.#to
    if ((await source.stat()).size !== blob.size) return false
    for (;;) {
      const grants = await blobs.declare(blob, grantsPerCall)
      let isRight = true
      await forEach(grants, partsAtOnce, async (grant) => {
        const bytes = isRight ? await readPart(blob, grant.part, source) : null
        if (bytes === null) isRight = false
        else await this.#to.send(grant, bytes)
      })
      if (!isRight) return false
      if (grants.length < grantsPerCall) break
    }
    await blobs.complete(blob.sha256)
    return true
  }
}

/** `null` when these are other bytes. */
async function readPart(blob: BlobFacts, number: number, source: FileHandle): Promise<Uint8Array | null> {
  const part = partOf(blob, number)
  if (part === null) return null
  const bytes = Buffer.alloc(part.length)
  let size = 0
  for (let got = -1; got !== 0 && size < bytes.length; size += got)
    got = (await source.read(bytes, size, bytes.length - size, part.offset + size)).bytesRead
  return createHash("sha256").update(bytes).digest("hex") === part.digest ? bytes : null
}
