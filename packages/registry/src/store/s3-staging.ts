/**
 * Uploads on their way, in a bucket. The name of one says all that completing it needs, so that a restart loses nothing:
 *
 *     staging/<SHA-256 of the whole>/<upload id>-<size>      a multipart upload, then the object that it became
 *
 * Also of files that have one part: what an object is besides its bytes (who may read it, its key, its headers) is then said by
 * the registry, who begins the upload, and not by headers that a client adds to its PUT and that some stores obey unsigned.
 *
 * Part sizes follow from the size, and the upload id is a hash of everything that was declared (blobs.ts).
 */
import { ManifestError, limits, partSizeFor } from "@weighlock/manifest"

import { RegistryError } from "../errors.ts"
import { type Upload, uploadId } from "./blobs.ts"
import { requireHex } from "./disk.ts"
import { forEach } from "@weighlock/node"
import { type Calls, failed, odd, statusOf } from "./s3-calls.ts"
import {
  type ListedPart,
  type Multipart,
  abortMultipart,
  completeMultipart,
  createMultipart,
  listMultiparts,
  listParts,
} from "./s3-multipart.ts"
import { type Found, head, list, mostLeftovers, remove } from "./s3-objects.ts"

const maxRemembered = 100_000
/** Declarations of one digest, of which one at most is true. */
const maxOfDigest = 64
const expiriesAtOnce = 8
const keyForm = /^staging\/([0-9a-f]{64})\/([0-9a-f]{64})-(0|[1-9][0-9]{0,15})$/
/** Of a copy on its way to its place, or of a probe. */
const otherForm = /^(blobs\/sha256\/[0-9a-f]{2}\/[0-9a-f]{64}|probe\/[0-9a-f]{32}(-[a-z]+)?)$/

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
  /** The bucket's; empty where nothing is missing. */
  readonly uploadId: string
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
    const { key } = staged
    for (let attemptsLeft = 3; attemptsLeft > 0; attemptsLeft--) {
      if (this.#mayBeThere(staged) && (await this.#object(key))?.size === staged.size) {
        this.#remember(staged)
        return { key, numbers: [], uploadId: "" }
      }
      const { multipart, isNew } = await this.#opened(staged)
      const parts = isNew ? [] : await listParts(this.#calls, multipart)
      if (parts) return { key, numbers: missingOf(staged, parts), uploadId: multipart.uploadId }
      this.#forget(staged) // completed or ended meanwhile
    }
    throw failed("a multipart upload", odd("it is gone as soon as it is made"))
  }

  /** A file of one part that this process was never asked for is not looked for: if it is there, it is sent again. */
  #mayBeThere({ key, sha256, size }: Staged): boolean {
    return size > limits.part || this.#remembered.get(sha256)?.has(key) === true
  }

  /** What an upload became. An object that can't be looked at is none of ours, as of one encrypted with a key that we lack. */
  async #object(key: string): Promise<Found | null> {
    try {
      return await head(this.#calls, key)
    } catch (error) {
      if (statusOf(error) !== 400) throw error
      await remove(this.#calls, key)
      return null
    }
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
    const opened = await this.#remembered.get(staged.sha256)?.get(staged.key)
    const arrived = opened && (await listParts(this.#calls, opened))
    if (opened && arrived && missingOf(staged, arrived).length === 0) return await this.#made(staged, opened, arrived)
    const there = await this.#object(staged.key)
    if (there) return there
    const multipart = opened ?? (await this.#found(staged.key))
    const parts = arrived ?? (multipart && (await listParts(this.#calls, multipart)))
    if (!multipart || !parts) throw notHere(staged)
    return await this.#made(staged, multipart, parts)
  }

  async #made(staged: Staged, multipart: Multipart, parts: readonly ListedPart[]): Promise<Found> {
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

  /** Deletes an upload that was assembled. */
  async discard({ key, sha256 }: Staged): Promise<void> {
    this.#remembered.get(sha256)?.delete(key)
    if (this.#remembered.get(sha256)?.size === 0) this.#remembered.delete(sha256)
    await remove(this.#calls, key)
  }

  /** Ends what nobody touched since `before` (ms since epoch, by the bucket's clock); answers how many uploads. */
  async expire(before: number): Promise<number> {
    const expired = new Set<string>()
    for (const prefix of ["staging/", "blobs/sha256/", "probe/"]) {
      await forEach(listMultiparts(this.#calls, prefix, mostLeftovers), expiriesAtOnce, async (multipart) => {
        if (!isOurs(multipart.key) || !(await untouchedSince(this.#calls, multipart, before))) return
        await abortMultipart(this.#calls, multipart)
        expired.add(multipart.key)
      })
    }
    for (const prefix of ["staging/", "probe/"]) {
      await forEach(list(this.#calls, prefix, { most: mostLeftovers }), expiriesAtOnce, async ({ key, modified }) => {
        if (!isOurs(key) || modified >= before) return
        await remove(this.#calls, key)
        expired.add(key)
      })
    }
    for (const key of expired) this.#remembered.delete(parseKey(key)?.sha256 ?? "")
    return expired.size
  }

  /** One multipart upload a key, also for those who come at once. */
  async #opened(staged: Staged): Promise<{ readonly multipart: Multipart; readonly isNew: boolean }> {
    const known = this.#remembered.get(staged.sha256)?.get(staged.key)
    if (known) return { multipart: await known, isNew: false }
    let isNew = false
    const open = async (): Promise<Multipart> => {
      // Of one part nothing can be half there: a client that comes after a restart sends it again.
      const found = staged.size > limits.part ? await this.#found(staged.key) : null
      isNew = found === null
      return found ?? (await createMultipart(this.#calls, staged.key))
    }
    const opening = open()
    this.#remember(staged, opening)
    opening.catch(() => this.#forget(staged))
    return { multipart: await opening, isNew }
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

/** Whether a listed key is one that is ever deleted unasked. */
function isOurs(key: string): boolean {
  return parseKey(key) !== null || otherForm.test(key)
}

/** A part of another size than it should have is none: other bytes would not have been taken, but what was declared may be false. */
function missingOf({ size }: Staged, parts: readonly ListedPart[]): readonly number[] {
  const sizes = new Map(parts.map((part) => [part.number, part.size]))
  const partSize = partSizeFor(size)
  const numbers = Array.from({ length: Math.ceil(size / partSize) }, (_, i) => i + 1)
  return numbers.filter((number) => sizes.get(number) !== Math.min(partSize, size - (number - 1) * partSize))
}

function notHere({ sha256 }: Staged): RegistryError {
  return new RegistryError("NOT_FOUND", `nothing of ${sha256} has arrived`)
}

function requireAll(staged: Staged, parts: readonly ListedPart[]): void {
  const missing = missingOf(staged, parts)
  if (missing.length > 0 && staged.size <= limits.part) throw notHere(staged)
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
