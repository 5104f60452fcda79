/** Copies blobs from one folder to another as far as they are what they should be; each is hashed while it is copied. */
import { createHash } from "node:crypto"
import { type FileHandle, open, rm, stat } from "node:fs/promises"
import { join } from "node:path"

import { makeFolder, moveDurably } from "@weighlock/node"
import type { BlobFacts } from "../store/ledger.ts"
import type { BlobSource } from "./examine/blob-source.ts"

/** Takes what the rebuilt log needs, blob by blob. */
export interface BlobTaker {
  readonly missing: ReadonlySet<string>
  /** Once each. One that is absent or not what it should be is among the missing. */
  copy(blob: BlobFacts): Promise<void>
}

/** Leaves blobs where they are, in a bucket, and looks for each in its size. */
export class BlobFinder implements BlobTaker {
  readonly #blobs: BlobSource
  readonly #done = new Set<string>()
  readonly missing: Set<string> = new Set()

  constructor(blobs: BlobSource) {
    this.#blobs = blobs
  }

  async copy({ sha256, size }: BlobFacts): Promise<void> {
    if (this.#done.has(sha256)) return
    this.#done.add(sha256)
    if ((await this.#blobs.size(sha256)) !== size) this.missing.add(sha256)
  }
}

export class BlobCopier implements BlobTaker {
  /** `null`: there are none to copy from. */
  readonly #from: string | null
  readonly #to: string
  readonly #done = new Set<string>()
  readonly missing: Set<string> = new Set()

  private constructor(from: string | null, to: string) {
    this.#from = from
    this.#to = to
  }

  /** `from`: a data folder, or its `blobs`. `data`: a data folder. */
  static async open(from: string | undefined, data: string): Promise<BlobCopier> {
    return new BlobCopier(from === undefined ? null : await blobFolder(from), join(data, "blobs"))
  }

  async copy(blob: BlobFacts): Promise<void> {
    if (this.#done.has(blob.sha256)) return
    this.#done.add(blob.sha256)
    if (!(await this.#copied(blob))) this.missing.add(blob.sha256)
  }

  async #copied({ sha256, size }: BlobFacts): Promise<boolean> {
    const [folder, target] = [join(this.#to, sha256.slice(0, 2)), join(this.#to, sha256.slice(0, 2), sha256)]
    if ((await stat(target).catch(() => null))?.size === size) return true
    if (this.#from === null) return false
    const source = await open(join(this.#from, sha256.slice(0, 2), sha256), "r").catch(() => null)
    if (!source) return false
    await makeFolder(folder)
    const fresh = `${target}.copying`
    const file = await open(fresh, "w", 0o400)
    try {
      const digest = await copyAndHash(source, file, size)
      if (digest !== sha256) return false
      await file.sync()
      await moveDurably(fresh, target)
      return true
    } finally {
      await Promise.all([source.close(), file.close()])
      await rm(fresh, { force: true })
    }
  }
}

/** Of a data folder; a folder without one is taken for it. */
export async function blobFolder(from: string): Promise<string> {
  const inside = join(from, "blobs")
  return (await stat(inside).catch(() => null))?.isDirectory() === true ? inside : from
}

/** At most `size` + 1 bytes are read: more is another blob. */
async function copyAndHash(source: FileHandle, file: FileHandle, size: number): Promise<string> {
  const hash = createHash("sha256")
  let left = size + 1
  const chunk = Buffer.alloc(1024 * 1024)
  for (;;) {
    const { bytesRead } = await source.read(chunk, 0, Math.min(chunk.length, left))
    if (bytesRead === 0) return hash.digest("hex")
    left -= bytesRead
    hash.update(chunk.subarray(0, bytesRead))
    await file.writeFile(chunk.subarray(0, bytesRead))
  }
}
