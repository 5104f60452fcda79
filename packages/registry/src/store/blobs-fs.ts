/**
 * Blobs in a folder.
 *
 *     blobs/9f/9f86d081…       a proven blob, read-only
 *     staging/                 uploads on their way (staging.ts)
 *
 * Into place by rename, which is atomic and heals a file that a crash left without its ledger row.
 */
import { access, open, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Readable } from "node:stream"

import { type FileHasher, makeFolder, moveDurably } from "@weighlock/node"

import { RegistryError } from "../errors.ts"
import type { RegistryGrants } from "../grants.ts"
import type { BlobBody, BlobStore, ByteRange, Grant, Upload } from "./blobs.ts"
import { absentAsNull, orUnavailable, requireHex, sizeOf } from "./disk.ts"
import { FileBody } from "./file-body.ts"
import type { BlobFacts } from "./ledger.ts"
import { type Proven, Staging, factsFrom } from "./staging.ts"

/** What a client sends beside the bytes of a part. */
export interface GrantedPart {
  readonly grant: string | undefined
  readonly sha256: string
  readonly number: number
}

export class FolderBlobStore implements BlobStore {
  readonly #folder: string
  readonly #hasher: FileHasher
  readonly #staging: Staging
  readonly #grants: RegistryGrants
  /** One proof a digest: a second one would throw away what the first is putting in place. */
  readonly #proofs = new Map<string, Promise<BlobFacts>>()

  private constructor(folder: string, hasher: FileHasher, staging: Staging, grants: RegistryGrants) {
    this.#folder = folder
    this.#hasher = hasher
    this.#staging = staging
    this.#grants = grants
  }

  static async open(folder: string, hasher: FileHasher, grants: RegistryGrants): Promise<FolderBlobStore> {
    const blobs = join(folder, "blobs")
    await makeFolder(blobs)
    const size = (sha256: string): Promise<number | null> => sizeOf(blobPath(blobs, sha256))
    return new FolderBlobStore(blobs, hasher, await Staging.open(join(folder, "staging"), hasher, size), grants)
  }

  async size(sha256: string): Promise<number | null> {
    return await sizeOf(blobPath(this.#folder, sha256))
  }

  async read(sha256: string, range?: ByteRange): Promise<BlobBody | null> {
    const file = await absentAsNull(open(blobPath(this.#folder, sha256), "r"))
    return file && new FileBody(file, range ?? { start: 0, end: Number.MAX_SAFE_INTEGER })
  }

  async link(): Promise<null> {
    return null
  }

  async declare(upload: Upload, most: number): Promise<readonly Grant[]> {
    const missing = await this.#staging.declare(upload)
    return missing.slice(0, most).map((part) => this.#grants.grant(upload, part))
  }

  /**
   * Takes one part, as its grant says (the value of the grant's header). Resolves when its bytes are kept; of a part that is
   * kept already, or whose blob is there, when they are the same again. The newest of two writers of one part writes, and
   * both have its outcome: the older resolves too, or rejects with UNAVAILABLE. FORBIDDEN: no such grant. NOT_FOUND: never
   * declared. DIGEST_MISMATCH: other bytes, fewer or more than declared; nothing of them is kept.
   * `known`: what the ledger has of a digest.
   */
  async writePart(
    { grant, sha256, number }: GrantedPart,
    body: Readable,
    known: (sha256: string) => Promise<BlobFacts | null>,
  ): Promise<void> {
    const id = this.#grants.check(grant, sha256, number)
    await this.#staging.writePart({ sha256, id, number }, body, known)
  }

  async complete(sha256: string): Promise<BlobFacts> {
    const proof = this.#proofs.get(sha256) ?? this.#complete(sha256).finally(() => this.#proofs.delete(sha256))
    this.#proofs.set(sha256, proof)
    return await proof
  }

  async #complete(sha256: string): Promise<BlobFacts> {
    const whole = await this.#staging.whole(sha256)
    if (whole) {
      await orUnavailable(this.#putInPlace(whole))
      return whole.facts
    }
    const ids = await this.#staging.ids(sha256)
    if (ids.length === 0) return await this.#proveInPlace(sha256)
    let refusal: Error = new RegistryError("NOT_FOUND", `no upload of ${sha256} is under way`)
    for (const id of ids) {
      try {
        return await this.#staging.prove(sha256, id, (proven) => this.#putInPlace(proven))
      } catch (error) {
        if (!(error instanceof Error)) throw error
        refusal = error // another declaration of this digest may be the true one
      }
    }
    throw refusal
  }

  /** A blob that is there and that the ledger does not know, as a crash leaves it: hashed again, or thrown away. */
  async #proveInPlace(sha256: string): Promise<BlobFacts> {
    const path = blobPath(this.#folder, sha256)
    if ((await sizeOf(path)) !== null) {
      const facts = factsFrom(await orUnavailable(this.#hasher.hashFile(path, { parts: true })))
      if (facts.sha256 === sha256) return facts
      await this.remove(sha256)
    }
    throw new RegistryError("NOT_FOUND", `no upload of ${sha256} is under way`)
  }

  async #putInPlace({ facts, path: data }: Proven): Promise<void> {
    const path = blobPath(this.#folder, facts.sha256)
    const folder = dirname(path)
    await makeFolder(folder)
    if ((await sizeOf(path)) === null) await rm(path, { recursive: true, force: true }) // not a regular file
    await moveDurably(data, path)
  }

  async remove(sha256: string): Promise<void> {
    await rm(blobPath(this.#folder, sha256), { force: true })
  }

  expire(before: number): Promise<number> {
    return this.#staging.expire(before)
  }

  async reach(): Promise<void> {
    await orUnavailable(access(this.#folder))
  }
}

function blobPath(folder: string, sha256: string): string {
  return join(folder, requireHex(sha256).slice(0, 2), sha256)
}
