/**
 * Uploads on their way, in a bucket. The name of one says all that completing it needs, so that a restart loses nothing:
 *
 *     staging/<SHA-256 of the whole>/<upload id>-<size>      a multipart upload, then the object that it became
 *
 * Part sizes follow from the size, and the upload id is a hash of everything that was declared (blobs.ts).
 */
import { ManifestError, partSizeFor } from "@weighlock/manifest"

import { RegistryError } from "../errors.ts"
import { type Upload, uploadId } from "./blobs.ts"
import { requireHex } from "./disk.ts"
import { type Calls, failed, forEachListed, odd } from "./s3-calls.ts"
import {
  type ListedPart,
  type Multipart,
  abortMultipart,
  completeMultipart,
  createMultipart,
  listMultiparts,
  listParts,
} from "./s3-multipart.ts"
import { type Found, head, list, remove } from "./s3-objects.ts"

const maxRemembered = 100_000
/** Declarations of one digest, of which one at most is true. */
const maxOfDigest = 64
const expiriesAtOnce = 8
const keyForm = /^staging\/([0-9a-f]{64})\/([0-9a-f]{64})-(0|[1-9][0-9]{0,15})$/

export interface Staged {
  readonly key: string
  readonly sha256: string
  /** Upload id. */
  readonly id: string
  readonly size: number
}

export interface Missing {
  readonly key: string
  /** Parts, in order. */
  readonly numbers: readonly number[]
  /** The bucket's, for a file of parts. */
  readonly uploadId?: string
}

export class S3Staging {
  readonly #calls: Calls
  /** What this process was asked for: by digest, oldest first, then by key; with the multipart upload once there is one. */
  readonly #remembered = new Map<string, Map<string, Promise<Multipart> | null>>()

  constructor(calls: Calls) {
    this.#calls = calls
  }

  /** Prepares to receive an upload, and looks what of it has arrived. */
  async missing(upload: Upload): Promise<Missing> {
    const staged = stagedOf(upload)
    if ((await head(this.#calls, staged.key))?.size === upload.size) {
      this.#remember(staged)
      return { key: staged.key, numbers: [] }
    }
    if (upload.parts) return await this.#missingParts(staged)
    this.#remember(staged)
    return { key: staged.key, numbers: [1] }
  }

  async #missingParts(staged: Staged): Promise<Missing> {
    const { key } = staged
    for (let tries = 0; tries < 3; tries++) {
      const multipart = await this.#opened(staged)
      const parts = await listParts(this.#calls, multipart)
      if (parts) return { key, numbers: missingOf(staged, parts), uploadId: multipart.uploadId }
      this.#forget(staged) // completed or ended meanwhile
      if ((await head(this.#calls, key))?.size === staged.size) return { key, numbers: [] }
    }
    throw failed("a multipart upload", odd("it is gone as soon as it is made"))
  }

  /** The uploads of a digest that are under way: those of this process, else what the bucket lists. */
  async of(sha256: string): Promise<readonly Staged[]> {
    const remembered = this.#remembered.get(sha256)
    if (remembered) return [...remembered.keys()].map(parseKey).filter((each) => each !== null)
    const prefix = `staging/${requireHex(sha256)}/`
    const keys = new Set<string>()
    for await (const { key } of list(this.#calls, prefix)) keys.add(key)
    for await (const { key } of listMultiparts(this.#calls, prefix)) keys.add(key)
    return [...keys].map(parseKey).filter((each) => each !== null)
  }

  /** Makes one object of the parts, if it is not one yet. NOT_FOUND: nothing is there. CONFLICT: parts are missing. */
  async assemble(staged: Staged): Promise<Found> {
    const there = await head(this.#calls, staged.key)
    if (there) return there
    const multipart = (await this.#remembered.get(staged.sha256)?.get(staged.key)) ?? (await this.#found(staged.key))
    const parts = multipart && (await listParts(this.#calls, multipart))
    if (!multipart || !parts) throw new RegistryError("NOT_FOUND", `nothing of ${staged.sha256} has arrived`)
    requireAll(staged, parts)
    let fault: unknown = odd("no object")
    try {
      await completeMultipart(this.#calls, multipart, parts)
    } catch (error) {
      fault = error // its answer may be all that was lost
    }
    const made = await head(this.#calls, staged.key)
    if (!made) throw failed("complete", fault)
    return made
  }

  /** Deletes an upload, whatever became of it. */
  async discard({ key, sha256 }: Staged): Promise<void> {
    this.#remembered.get(sha256)?.delete(key)
    if (this.#remembered.get(sha256)?.size === 0) this.#remembered.delete(sha256)
    await remove(this.#calls, key)
    for await (const multipart of listMultiparts(this.#calls, key)) await abortMultipart(this.#calls, multipart)
  }

  /** Ends what nobody touched since `before` (ms since epoch, by the bucket's clock); answers how many uploads. */
  async expire(before: number): Promise<number> {
    const expired = new Set<string>()
    for (const prefix of ["staging/", "blobs/sha256/", "probe/"]) {
      await forEachListed(listMultiparts(this.#calls, prefix), expiriesAtOnce, async (multipart) => {
        if (!(await untouchedSince(this.#calls, multipart, before))) return
        await abortMultipart(this.#calls, multipart)
        expired.add(multipart.key)
      })
    }
    for (const prefix of ["staging/", "probe/"]) {
      await forEachListed(list(this.#calls, prefix), expiriesAtOnce, async ({ key, modified }) => {
        if (modified >= before) return
        await remove(this.#calls, key)
        expired.add(key)
      })
    }
    for (const key of expired) this.#remembered.delete(parseKey(key)?.sha256 ?? "")
    return expired.size
  }

  /** One multipart upload a key, also for those who come at once. */
  async #opened(staged: Staged): Promise<Multipart> {
    const known = this.#remembered.get(staged.sha256)?.get(staged.key)
    if (known) return await known
    const opening = this.#found(staged.key).then((found) => found ?? createMultipart(this.#calls, staged.key))
    this.#remember(staged, opening)
    opening.catch(() => this.#forget(staged))
    return await opening
  }

  /** The one that has most, where a fault left several. */
  async #found(key: string): Promise<Multipart | null> {
    const found: Multipart[] = []
    for await (const each of listMultiparts(this.#calls, key)) if (each.key === key) found.push(each)
    if (found.length <= 1) return found[0] ?? null
    const counts = await Promise.all(found.map(async (each) => (await listParts(this.#calls, each))?.length ?? -1))
    return found[counts.indexOf(Math.max(...counts))] ?? null
  }

  #remember({ key, sha256 }: Staged, opening: Promise<Multipart> | null = null): void {
    const ofDigest = this.#remembered.get(sha256) ?? new Map<string, Promise<Multipart> | null>()
    ofDigest.set(key, opening ?? ofDigest.get(key) ?? null)
    if (ofDigest.size > maxOfDigest) ofDigest.delete(ofDigest.keys().next().value ?? "") // who was forgotten asks again
    this.#remembered.set(sha256, ofDigest)
    if (this.#remembered.size > maxRemembered) this.#remembered.delete(this.#remembered.keys().next().value ?? "")
  }

  #forget({ key, sha256 }: Staged): void {
    this.#remembered.get(sha256)?.set(key, null)
  }
}

function stagedOf(upload: Upload): Staged {
  const id = uploadId(upload)
  const key = `staging/${requireHex(upload.sha256)}/${id}-${upload.size}`
  return { key, sha256: upload.sha256, id, size: upload.size }
}

function parseKey(key: string): Staged | null {
  const [, sha256, id, size] = keyForm.exec(key) ?? []
  return sha256 === undefined || id === undefined ? null : { key, sha256, id, size: Number(size) }
}

/** A part of another size than it should have is none: other bytes would not have been taken, but what was declared may be false. */
function missingOf({ size }: Staged, parts: readonly ListedPart[]): readonly number[] {
  const sizes = new Map(parts.map((part) => [part.number, part.size]))
  const partSize = partSizeFor(size)
  const numbers = Array.from({ length: Math.ceil(size / partSize) }, (_, i) => i + 1)
  return numbers.filter((number) => sizes.get(number) !== Math.min(partSize, size - (number - 1) * partSize))
}

function requireAll(staged: Staged, parts: readonly ListedPart[]): void {
  const missing = missingOf(staged, parts)
  if (missing.length > 0) {
    const some = missing.slice(0, 20).join(", ")
    throw new RegistryError("CONFLICT", `${staged.sha256}: ${missing.length} parts are missing: ${some}`)
  }
  const beyond = parts.find(({ number }) => number > Math.ceil(staged.size / partSizeFor(staged.size)))
  if (beyond)
    throw new ManifestError("DIGEST_MISMATCH", `${staged.sha256}: a part ${beyond.number} that was not declared`)
}

async function untouchedSince(calls: Calls, multipart: Multipart, before: number): Promise<boolean> {
  if (multipart.started >= before) return false
  const parts = (await listParts(calls, multipart)) ?? []
  return parts.every(({ modified }) => modified < before)
}
