/**
 * Blobs in a bucket. Bytes go straight between clients and the bucket, by requests that this registry signs.
 *
 *     blobs/sha256/9f/9f86d081…      a proven blob
 *     staging/9f86d081…/…            uploads on their way (s3-staging.ts)
 *     registry                       whose all this is (s3-owner.ts)
 *
 * The bucket enforces the SHA-256 of each part, which is signed into its grant; the whole is read back and hashed here
 * before it counts. Only then is it copied, by the bucket, to its place.
 */
import { Readable } from "node:stream"

import { ManifestError } from "@weighlock/manifest"
import type { FileHasher } from "@weighlock/node"

import { RegistryError } from "../errors.ts"
import { grantLifeSeconds } from "../grants.ts"
import { type BlobStore, type ByteRange, type Grant, type Upload, partOf, uploadId } from "./blobs.ts"
import { requireHex } from "./disk.ts"
import type { BlobFacts } from "./ledger.ts"
import { Calls, failed, odd } from "./s3-calls.ts"
import { emptySha256, grantPut, impossible, linkTo } from "./s3-grants.ts"
import { copyLarge } from "./s3-multipart.ts"
import { type Found, bytesOf, head, list, put, reach, remove } from "./s3-objects.ts"
import { claimOwner, readOwner } from "./s3-owner.ts"
import type { S3Place } from "./s3-place.ts"
import { type Staged, S3Staging } from "./s3-staging.ts"
import type { S3Timeouts } from "./s3-timeouts.ts"
import { factsFrom } from "./staging.ts"
import { Limiter } from "@weighlock/node"

const linkLifeSeconds = 600
const reachTime = 5000
/** What CopyObject takes: 5 GiB. */
const copyLimit = 5 * 2 ** 30
/** Fewer than connections, and than places for what is to be hashed: whoever has one never waits for the other. */
const hashedAtOnce = 8

export interface S3StoreOptions {
  readonly timeouts?: Partial<S3Timeouts>
  readonly grantLifeSeconds?: number | undefined
  /** Larger blobs are copied in parts of so many bytes; 5 GiB. */
  readonly copyLimit?: number
}

export class S3BlobStore implements BlobStore {
  readonly #calls: Calls
  readonly #hasher: FileHasher
  readonly #staging: S3Staging
  readonly #grantLife: number
  readonly #copyLimit: number
  /** One proof a digest. */
  readonly #proofs = new Map<string, Promise<BlobFacts>>()
  readonly #hashing = new Limiter(hashedAtOnce)

  constructor(place: S3Place, hasher: FileHasher, options: S3StoreOptions = {}) {
    this.#calls = new Calls(place, options.timeouts)
    this.#hasher = hasher
    this.#staging = new S3Staging(this.#calls)
    this.#grantLife = options.grantLifeSeconds ?? grantLifeSeconds
    this.#copyLimit = options.copyLimit ?? copyLimit
  }

  close(): void {
    this.#calls.close()
  }

  async size(sha256: string): Promise<number | null> {
    const found = await head(this.#calls, blobKey(sha256))
    if (!found) await this.reach() // of a bucket that is gone every object is, and HEAD does not say why
    return found?.size ?? null
  }

  async read(sha256: string, range?: ByteRange): Promise<Readable | null> {
    const key = blobKey(sha256)
    const found = await head(this.#calls, key)
    return found && Readable.from(bytesOf(this.#calls, key, found, range), { objectMode: false })
  }

  async link(sha256: string): Promise<string> {
    return await linkTo(this.#calls, blobKey(sha256), linkLifeSeconds)
  }

  async declare(upload: Upload, most: number): Promise<readonly Grant[]> {
    requireHex(upload.sha256)
    if ((upload.size === 0) !== (upload.sha256 === emptySha256)) throw impossible(upload.sha256, upload.size)
    if (upload.size === 0) return [] // there is nothing to send
    const { key, numbers, uploadId: multipart } = await this.#staging.missing(upload)
    const grants: Grant[] = []
    for (const number of numbers.slice(0, most)) {
      const part = partOf(upload, number)
      if (!part) continue
      const { digest: sha256, length } = part
      const granted = { key, sha256, length, part: number, uploadId: multipart }
      grants.push(await grantPut(this.#calls, granted, this.#grantLife))
    }
    return grants
  }

  async complete(sha256: string): Promise<BlobFacts> {
    requireHex(sha256)
    const proof = this.#proofs.get(sha256) ?? this.#complete(sha256).finally(() => this.#proofs.delete(sha256))
    this.#proofs.set(sha256, proof)
    return await proof
  }

  async #complete(sha256: string): Promise<BlobFacts> {
    if (sha256 === emptySha256) return await this.#putEmpty()
    let refusal: unknown = null
    for (const staged of await this.#staging.of(sha256)) {
      try {
        return await this.#prove(staged)
      } catch (error) {
        refusal = isNotFound(error) ? refusal : error // another declaration of this digest may be the true one
      }
    }
    if (refusal !== null) throw refusal as Error
    return await this.#proveInPlace(sha256)
  }

  async #prove(staged: Staged): Promise<BlobFacts> {
    const { sha256, key, size } = staged
    const found = await this.#staging.assemble(staged)
    const facts = found.size === size ? await this.#hash(key, found) : null
    if (facts?.sha256 !== sha256 || uploadId(facts) !== staged.id) {
      await this.#staging.discard(staged)
      const received = facts ? `${facts.sha256} of ${size}` : `${found.size}`
      throw new ManifestError("DIGEST_MISMATCH", `declared ${sha256} of ${size} bytes, received ${received}`)
    }
    const place = blobKey(sha256)
    await copyLarge(this.#calls, { key, ...found }, place, this.#copyLimit)
    if ((await head(this.#calls, place))?.size !== size) throw failed("copy", odd("the copy has another size"))
    await this.#staging.discard(staged).catch(() => undefined) // or it expires
    return facts
  }

  async #putEmpty(): Promise<BlobFacts> {
    const place = blobKey(emptySha256)
    await put(this.#calls, place, new Uint8Array())
    if ((await head(this.#calls, place))?.size !== 0) throw failed("PUT", odd("what was put is not there"))
    return { sha256: emptySha256, size: 0 }
  }

  /** A blob that is there and that the ledger does not know, as a crash leaves it: hashed again, or thrown away. */
  async #proveInPlace(sha256: string): Promise<BlobFacts> {
    const key = blobKey(sha256)
    const found = await head(this.#calls, key)
    if (found) {
      const facts = await this.#hash(key, found)
      if (facts.sha256 === sha256) return facts
      await remove(this.#calls, key)
    }
    throw new RegistryError("NOT_FOUND", `no upload of ${sha256} is under way`)
  }

  /** Reads every byte back. */
  async #hash(key: string, found: Found): Promise<BlobFacts> {
    const bytes = bytesOf(this.#calls, key, found)
    return factsFrom(await this.#hashing.run(() => this.#hasher.hashBytes(bytes, found.size, { parts: true })))
  }

  async remove(sha256: string): Promise<void> {
    await remove(this.#calls, blobKey(sha256))
  }

  expire(before: number): Promise<number> {
    return this.#staging.expire(before)
  }

  async reach(): Promise<void> {
    await reach(this.#calls, reachTime)
  }

  /** Whose this prefix is; `null`: nobody's yet. */
  async owner(): Promise<string | null> {
    return await readOwner(this.#calls)
  }

  /** Makes it somebody's; answers whose it is then. */
  async claim(owner: string): Promise<string> {
    return await claimOwner(this.#calls, owner)
  }

  /** Whether any blob is there, of whomever. */
  async isEmpty(): Promise<boolean> {
    for await (const _ of list(this.#calls, "blobs/sha256/", { pageSize: 1 })) return false
    return true
  }
}

function blobKey(sha256: string): string {
  return `blobs/sha256/${requireHex(sha256).slice(0, 2)}/${sha256}`
}

const isNotFound = (error: unknown): boolean => error instanceof RegistryError && error.code === "NOT_FOUND"
