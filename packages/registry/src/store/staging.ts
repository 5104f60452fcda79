/**
 * Uploads on their way, in a folder.
 *
 *     staging/9f86d081….whole                  a file of one part, its digest checked while it was written
 *     staging/9f86d081….1f3a                   … and while it arrives
 *     staging/9f86d081…/<upload id>/upload.json   what was declared
 *     staging/9f86d081…/<upload id>/data          every part at its own offset
 *     staging/9f86d081…/<upload id>/part-2        empty: part 2 is in `data`, its digest checked
 *
 * A file of one part is hashed once and synced before it gets its name `.whole`: completing it is one rename.
 */
import { constants } from "node:fs"
import {
  chmod,
  lstat,
  mkdir,
  open,
  readFile,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
} from "node:fs/promises"
import { dirname, join } from "node:path"
import type { Readable } from "node:stream"
import { setTimeout } from "node:timers/promises"

import { ManifestError, isSha256Hex, partSizeFor } from "@weighlock/manifest"
import { type FileHasher, makeFolder, syncFile } from "@weighlock/node"

import { RegistryError } from "../errors.ts"
import { type Part, type Upload, partCount, partOf, uploadId } from "./blobs.ts"
import { BodyReader } from "./body-reader.ts"
import { absentAsNull, exists, orUnavailable, requireHex, sizeOf, unavailable } from "./disk.ts"
import type { BlobFacts } from "./ledger.ts"
import { NewestWins } from "./newest-wins.ts"
import { PartBody } from "./part-body.ts"

const maxDeclared = 200_000
/** How long a body may take (ms) that is only compared. */
const drainTime = 600_000
const lastWords = 1000

/** Where a part belongs: the digest of its file, the upload that it was declared in, its number from 1. */
export interface PartName {
  readonly sha256: string
  readonly id: string
  readonly number: number
}

/** What a body should be. Not declared any more: it can only be compared with the blob that came of it. */
interface Wanted {
  readonly isDeclared: boolean
  readonly upload: Upload
  readonly part: Part
}

/** Bytes that were hashed, and where they wait. */
export interface Proven {
  readonly facts: BlobFacts
  readonly path: string
}

export class Staging {
  readonly #folder: string
  readonly #hasher: FileHasher
  /** Bytes of the blob in its place, `null` when it is not there. */
  readonly #size: (sha256: string) => Promise<number | null>
  readonly #writers = new NewestWins()
  /** Files of one part, by upload id, oldest first. */
  readonly #declared = new Map<string, Upload>()
  #next = Date.now()

  private constructor(folder: string, hasher: FileHasher, size: (sha256: string) => Promise<number | null>) {
    this.#folder = folder
    this.#hasher = hasher
    this.#size = size
  }

  static async open(
    folder: string,
    hasher: FileHasher,
    size: (sha256: string) => Promise<number | null>,
  ): Promise<Staging> {
    await makeFolder(folder)
    return new Staging(folder, hasher, size)
  }

  async declare(upload: Upload): Promise<readonly number[]> {
    if (!upload.parts) return await this.#declareWhole(upload)
    const folder = this.#path(upload.sha256, uploadId(upload))
    const kept = await absentAsNull(readdir(folder))
    const numbers = Array.from({ length: partCount(upload) }, (_, i) => i + 1)
    if (kept?.includes("upload.json") && (await readUpload(folder))) {
      return numbers.filter((number) => !kept.includes(partFile(number)))
    }
    await this.#requireSpace(upload.size)
    await orUnavailable(
      (async () => {
        await mkdir(folder, { recursive: true, mode: 0o700 }) // staging need not survive a power cut
        const fresh = join(folder, `upload.${process.hrtime.bigint()}`)
        await writeFile(fresh, JSON.stringify(upload), { mode: 0o600 })
        await rename(fresh, join(folder, "upload.json"))
      })(),
    )
    return numbers
  }

  /** Nothing is written: a grant does not outlive the process, so neither need the declaration. */
  async #declareWhole(upload: Upload): Promise<readonly number[]> {
    if ((await sizeOf(this.#wholePath(upload.sha256))) === upload.size) return []
    await this.#requireSpace(upload.size)
    const id = uploadId(upload)
    this.#declared.delete(id)
    this.#declared.set(id, upload)
    if (this.#declared.size > maxDeclared) this.#declared.delete(this.#declared.keys().next().value ?? "")
    return [1]
  }

  /** `known`: what the ledger has of a digest, which is all that is left of an upload that was completed. */
  async writePart(
    { sha256, id, number }: PartName,
    request: Readable,
    known: (sha256: string) => Promise<BlobFacts | null>,
  ): Promise<void> {
    const folder = this.#path(sha256, id)
    const declared = this.#declared.get(id) ?? (await readUpload(folder))
    const upload = declared ?? (await known(sha256))
    const part = upload?.sha256 === sha256 && uploadId(upload) === id ? partOf(upload, number) : null
    if (!upload || !part) throw notUnderWay(sha256, number)
    const reader = new BodyReader(request)
    try {
      await this.#takePart({ isDeclared: declared !== null, upload, part }, new PartBody(part, reader), folder)
    } finally {
      reader.release()
    }
  }

  async #takePart({ isDeclared, upload, part }: Wanted, body: PartBody, folder: string): Promise<void> {
    const rest: Promise<void>[] = []
    const compareRest = (): void => {
      const compared = body.compare(AbortSignal.timeout(drainTime))
      compared.catch(() => undefined) // it is waited for below, once the newer request has written the part
      rest.push(compared)
    }
    await this.#writers.run(join(folder, partFile(part.number)), async (signal) => {
      signal.addEventListener("abort", compareRest, { once: true })
      if (await this.#isKept(upload, part))
        return await body.compare(AbortSignal.any([signal, AbortSignal.timeout(drainTime)]))
      if (!isDeclared) throw notUnderWay(upload.sha256, part.number)
      await (upload.parts ? this.#writeOf(folder, part, body, signal) : this.#writeWhole(upload.sha256, body, signal))
    })
    if (rest.length === 0 && !body.ended) compareRest()
    // A client that was superseded while it stalls is told at once; one that sends may finish first.
    if (rest.length > 0) await Promise.race([...rest, setTimeout(lastWords, undefined, { ref: false })])
  }

  /** In this order: completing moves what is staged into the blob's place. */
  async #isKept(upload: Upload, { number, length }: Part): Promise<boolean> {
    const { sha256, size, parts } = upload
    const isStaged = parts
      ? await exists(join(this.#path(sha256, uploadId(upload)), partFile(number)))
      : (await sizeOf(this.#wholePath(sha256))) === length
    return isStaged || (await this.#size(sha256)) === size
  }

  async #writeOf(folder: string, { number }: Part, body: PartBody, signal: AbortSignal): Promise<void> {
    const file = await orUnavailable(open(join(folder, "data"), constants.O_RDWR | constants.O_CREAT, 0o600))
    try {
      await body.writeTo(file, signal)
      await orUnavailable(file.datasync())
    } finally {
      await file.close()
    }
    await orUnavailable(writeFile(join(folder, partFile(number)), "", { mode: 0o600 }))
  }

  async #writeWhole(sha256: string, body: PartBody, signal: AbortSignal): Promise<void> {
    const path = join(this.#folder, `${sha256}.${(this.#next += 1).toString(16)}`)
    const file = await orUnavailable(open(path, "wx", 0o400))
    try {
      await body.writeTo(file, signal)
      await orUnavailable(file.sync())
      await orUnavailable(rename(path, this.#wholePath(sha256)))
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
  }

  /** A file of one part that is wholly there. */
  async whole(sha256: string): Promise<Proven | null> {
    const path = this.#wholePath(sha256)
    const size = await sizeOf(path)
    return size === null ? null : { facts: { sha256, size }, path }
  }

  /** The upload ids under way for a digest. */
  async ids(sha256: string): Promise<readonly string[]> {
    const names = await absentAsNull(readdir(join(this.#folder, requireHex(sha256))))
    return names?.filter((name) => isSha256Hex(name)) ?? []
  }

  /** Hashes one upload of several parts and has `place` move it; whatever comes of that, the upload is over. */
  async prove(sha256: string, id: string, place: (proven: Proven) => Promise<void>): Promise<BlobFacts> {
    const folder = this.#path(sha256, id)
    const upload = await readUpload(folder)
    if (!upload) throw new RegistryError("NOT_FOUND", `no upload of ${sha256} is under way`)
    const missing = await this.declare(upload)
    if (missing.length > 0) {
      const some = missing.slice(0, 20).join(", ")
      throw new RegistryError(
        "CONFLICT",
        `${sha256}: ${missing.length} of ${partCount(upload)} parts are missing: ${some}`,
      )
    }
    const path = join(folder, "data")
    try {
      await syncFile(path)
      const facts = factsFrom(await this.#hasher.hashFile(path, { parts: true }))
      if (facts.sha256 !== sha256 || uploadId(facts) !== uploadId(upload)) throw mismatch(upload, facts)
      await chmod(path, 0o400)
      await place({ facts, path })
      return facts
    } catch (error) {
      throw isMismatch(error) ? error : unavailable(error)
    } finally {
      // Also after a failed sync: the kernel may have dropped the pages, so these bytes are never trusted again.
      await this.#discard(folder)
    }
  }

  async expire(before: number): Promise<number> {
    let expired = 0
    for (const sha256 of await readdir(this.#folder)) {
      if (!isSha256Hex(sha256)) {
        expired += Number(await this.#expireFile(join(this.#folder, sha256), before))
        continue
      }
      for (const id of await this.ids(sha256)) {
        const folder = this.#path(sha256, id)
        if (!(await untouchedSince(folder, before))) continue
        await this.#discard(folder)
        expired += 1
      }
    }
    return expired
  }

  /** A single file in staging, or what a crash left of a folder thrown away. */
  async #expireFile(path: string, before: number): Promise<boolean> {
    const found = await absentAsNull(lstat(path))
    if (!found || found.mtimeMs >= before) return false
    await rm(path, { recursive: true, force: true })
    return true
  }

  /** At once for everybody else: nobody finds half of it. */
  async #discard(folder: string): Promise<void> {
    const gone = join(this.#folder, `gone.${process.hrtime.bigint()}`)
    await absentAsNull(rename(folder, gone))
    await rm(gone, { recursive: true, force: true })
    await rmdir(dirname(folder)).catch(() => undefined) // unless another upload of this digest is under way
  }

  #wholePath(sha256: string): string {
    return join(this.#folder, `${requireHex(sha256)}.whole`)
  }

  #path(sha256: string, id: string): string {
    return join(this.#folder, requireHex(sha256), requireHex(id))
  }

  async #requireSpace(size: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder)
    if (size > bavail * bsize) throw new RegistryError("UNAVAILABLE", `no room for ${size} bytes`)
  }
}

function notUnderWay(sha256: string, number: number): RegistryError {
  return new RegistryError("NOT_FOUND", `no upload of ${sha256} with a part ${number} is under way`)
}

const partFile = (number: number): string => `part-${number}`

async function readUpload(folder: string): Promise<Upload | null> {
  const text = await absentAsNull(readFile(join(folder, "upload.json"), "utf8"))
  try {
    return text === null ? null : (JSON.parse(text) as Upload)
  } catch {
    return null // torn by a power cut: declared anew
  }
}

export function factsFrom(hashed: Awaited<ReturnType<FileHasher["hashFile"]>>): BlobFacts {
  const { digest, size, parts } = hashed
  return parts ? { sha256: digest, size, parts: { size: partSizeFor(size), digests: parts } } : { sha256: digest, size }
}

const isMismatch = (error: unknown): boolean => error instanceof ManifestError && error.code === "DIGEST_MISMATCH"

function mismatch(upload: Upload, found: BlobFacts): ManifestError {
  const message = `declared ${upload.sha256} of ${upload.size} bytes, received ${found.sha256} of ${found.size}`
  return new ManifestError("DIGEST_MISMATCH", message)
}

async function untouchedSince(folder: string, before: number): Promise<boolean> {
  const times = await Promise.all([absentAsNull(stat(folder)), absentAsNull(stat(join(folder, "data")))])
  return times.every((found) => found === null || found.mtimeMs < before)
}
