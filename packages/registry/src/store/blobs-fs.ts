/**
 * Blobs in a folder.
 *
 *     blobs/9f/9f86d081…                       a proven blob, read-only
 *     staging/9f86d081….whole                  a file of one part, its digest checked while it was written
 *     staging/9f86d081….1f3a                   … and while it arrives
 *     staging/9f86d081…/<upload id>/upload.json   what was declared
 *     staging/9f86d081…/<upload id>/data          every part at its own offset
 *     staging/9f86d081…/<upload id>/part-2        empty: part 2 is in `data`, its digest checked
 *
 * A file of one part is hashed once and synced before it gets its name `.whole`: completing it is one rename.
 * Into place by rename, which is atomic and heals a file that a crash left without its ledger row.
 */
import { constants } from "node:fs"
import {
  type FileHandle,
  access,
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
import type { HashPool } from "@weighlock/manifest/node"

import { RegistryError } from "../errors.ts"
import { type BlobStore, type ByteRange, type Part, type Upload, partCount, partOf, uploadId } from "./blobs.ts"
import { makeFolder, syncFolder } from "./durable.ts"
import type { BlobFacts } from "./ledger.ts"
import { BodyReader } from "./body-reader.ts"
import { NewestWins } from "./newest-wins.ts"
import { writeExactly } from "./write-exactly.ts"

const readChunk = 1024 * 1024
const maxDeclared = 200_000
/** How long a body that is not needed may take (ms) and, where its part is no longer known, its bytes. */
const drainTime = 600_000
const unknownLength = 64 * 1024 * 1024
const lastWords = 1000

export class FolderBlobStore implements BlobStore {
  readonly #folder: string
  readonly #hashes: HashPool
  readonly #writers = new NewestWins()
  /** Files of one part, by upload id, oldest first. */
  readonly #declared = new Map<string, Upload>()
  #next = Date.now()

  private constructor(folder: string, hashes: HashPool) {
    this.#folder = folder
    this.#hashes = hashes
  }

  static async open(folder: string, hashes: HashPool): Promise<FolderBlobStore> {
    await makeFolder(join(folder, "blobs"))
    await makeFolder(join(folder, "staging"))
    return new FolderBlobStore(folder, hashes)
  }

  async size(sha256: string): Promise<number | null> {
    return await sizeOf(this.#blobPath(sha256))
  }

  async read(sha256: string, range?: ByteRange): Promise<Readable | null> {
    const file = await absentAsNull(open(this.#blobPath(sha256), "r"))
    return file && file.createReadStream({ highWaterMark: readChunk, ...range })
  }

  async declare(upload: Upload): Promise<readonly number[]> {
    if (!upload.parts) return await this.#declareWhole(upload)
    const folder = this.#stagingPath(upload.sha256, uploadId(upload))
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

  async writePart(sha256: string, id: string, number: number, body: Readable): Promise<void> {
    const folder = this.#stagingPath(sha256, id)
    const reader = new BodyReader(body)
    const upload = this.#declared.get(id) ?? (await readUpload(folder))
    const part = upload?.sha256 === sha256 ? partOf(upload, number) : null
    if (!upload || !part) {
      if ((await this.size(sha256)) === null) {
        throw new RegistryError("NOT_FOUND", `no upload of ${sha256} with a part ${number} is under way`)
      }
      return await reader.drain(unknownLength, drainTime) // completed while this was on its way
    }
    const rest: Promise<void>[] = []
    await this.#writers.run(join(folder, partFile(number)), async (signal) => {
      signal.addEventListener("abort", () => rest.push(reader.drain(part.length, drainTime)), { once: true })
      await (upload.parts
        ? this.#writeOf(upload, folder, part, reader, signal)
        : this.#writeWhole(part, sha256, reader, signal))
    })
    // A client that was superseded while it stalls is told at once; one that sends may finish first.
    if (rest.length > 0) await Promise.race([...rest, setTimeout(lastWords, undefined, { ref: false })])
  }

  async #writeOf(upload: Upload, folder: string, part: Part, reader: BodyReader, signal: AbortSignal): Promise<void> {
    const marker = join(folder, partFile(part.number))
    if ((await exists(marker)) || (await this.size(upload.sha256)) === upload.size) {
      return await reader.drain(part.length, drainTime)
    }
    const file = await orUnavailable(open(join(folder, "data"), constants.O_RDWR | constants.O_CREAT, 0o600))
    try {
      await writeExactly(file, part, reader, signal)
      await orUnavailable(file.datasync())
    } finally {
      await file.close()
    }
    await orUnavailable(writeFile(marker, "", { mode: 0o600 }))
  }

  async #writeWhole(part: Part, sha256: string, reader: BodyReader, signal: AbortSignal): Promise<void> {
    const whole = this.#wholePath(sha256)
    // In this order: completing moves the first to the second.
    if ((await sizeOf(whole)) === part.length || (await this.size(sha256)) === part.length) {
      return await reader.drain(part.length, drainTime)
    }
    const path = join(this.#folder, "staging", `${sha256}.${(this.#next += 1).toString(16)}`)
    const file = await orUnavailable(open(path, "wx", 0o400))
    try {
      await writeExactly(file, part, reader, signal)
      await orUnavailable(file.sync())
      await orUnavailable(rename(path, whole))
    } catch (error) {
      await rm(path, { force: true })
      throw error
    } finally {
      await file.close()
    }
  }

  async complete(sha256: string): Promise<BlobFacts> {
    const size = await sizeOf(this.#wholePath(requireHex(sha256)))
    if (size !== null) {
      await orUnavailable(this.#putInPlace(sha256, this.#wholePath(sha256)))
      return { sha256, size }
    }
    const staged = await this.#staged(sha256)
    if (staged.length === 0) return await this.#proveInPlace(sha256)
    let refusal: Error = new RegistryError("NOT_FOUND", `no upload of ${sha256} is under way`)
    for (const id of staged) {
      try {
        return await this.#prove(sha256, this.#stagingPath(sha256, id))
      } catch (error) {
        if (!(error instanceof Error)) throw error
        refusal = error // another declaration of this digest may be the true one
      }
    }
    throw refusal
  }

  /** A blob that is there and that the ledger does not know, as a crash leaves it: hashed again, or thrown away. */
  async #proveInPlace(sha256: string): Promise<BlobFacts> {
    const path = this.#blobPath(sha256)
    if ((await sizeOf(path)) !== null) {
      const facts = factsFrom(await orUnavailable(this.#hashes.hashFile(path, { parts: true })))
      if (facts.sha256 === sha256) return facts
      await this.remove(sha256)
    }
    throw new RegistryError("NOT_FOUND", `no upload of ${sha256} is under way`)
  }

  async #prove(sha256: string, folder: string): Promise<BlobFacts> {
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
    const data = join(folder, "data")
    try {
      await syncFile(data)
      const facts = factsFrom(await this.#hashes.hashFile(data, { parts: true }))
      if (facts.sha256 !== sha256 || uploadId(facts) !== uploadId(upload)) throw mismatch(upload, facts)
      await chmod(data, 0o400)
      await this.#putInPlace(sha256, data)
      return facts
    } catch (error) {
      throw isMismatch(error) ? error : unavailable(error)
    } finally {
      // Also after a failed sync: the kernel may have dropped the pages, so these bytes are never trusted again.
      await this.#discard(folder)
    }
  }

  async #putInPlace(sha256: string, data: string): Promise<void> {
    const path = this.#blobPath(sha256)
    const folder = dirname(path)
    await makeFolder(folder)
    if ((await sizeOf(path)) === null) await rm(path, { recursive: true, force: true }) // not a regular file
    await rename(data, path)
    await syncFolder(folder)
  }

  async remove(sha256: string): Promise<void> {
    await rm(this.#blobPath(sha256), { force: true })
  }

  async expire(before: number): Promise<number> {
    let expired = 0
    for (const sha256 of await readdir(join(this.#folder, "staging"))) {
      if (!isSha256Hex(sha256)) {
        expired += Number(await this.#expireFile(join(this.#folder, "staging", sha256), before))
        continue
      }
      for (const id of await this.#staged(sha256)) {
        const folder = this.#stagingPath(sha256, id)
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

  /** The upload ids under way for a digest. */
  async #staged(sha256: string): Promise<readonly string[]> {
    const names = await absentAsNull(readdir(join(this.#folder, "staging", requireHex(sha256))))
    return names?.filter((name) => isSha256Hex(name)) ?? []
  }

  /** At once for everybody else: nobody finds half of it. */
  async #discard(folder: string): Promise<void> {
    const gone = join(this.#folder, "staging", `gone.${process.hrtime.bigint()}`)
    await absentAsNull(rename(folder, gone))
    await rm(gone, { recursive: true, force: true })
    await rmdir(dirname(folder)).catch(() => undefined) // unless another upload of this digest is under way
  }

  #blobPath(sha256: string): string {
    return join(this.#folder, "blobs", requireHex(sha256).slice(0, 2), sha256)
  }

  #wholePath(sha256: string): string {
    return join(this.#folder, "staging", `${requireHex(sha256)}.whole`)
  }

  #stagingPath(sha256: string, id: string): string {
    return join(this.#folder, "staging", requireHex(sha256), requireHex(id))
  }

  async #requireSpace(size: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder)
    if (size > bavail * bsize) throw new RegistryError("UNAVAILABLE", `no room for ${size} bytes`)
  }
}

const partFile = (number: number): string => `part-${number}`

function requireHex(text: string): string {
  if (!isSha256Hex(text)) throw new RegistryError("USAGE", "a digest is 64 lower-case hex characters")
  return text
}

async function readUpload(folder: string): Promise<Upload | null> {
  const text = await absentAsNull(readFile(join(folder, "upload.json"), "utf8"))
  try {
    return text === null ? null : (JSON.parse(text) as Upload)
  } catch {
    return null // torn by a power cut: declared anew
  }
}

function factsFrom(hashed: Awaited<ReturnType<HashPool["hashFile"]>>): BlobFacts {
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

async function syncFile(path: string): Promise<void> {
  const file: FileHandle = await open(path, "r+")
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Bytes of a regular file; `null` when there is none. */
async function sizeOf(path: string): Promise<number | null> {
  const found = await absentAsNull(lstat(path))
  return found?.isFile() ? found.size : null
}

async function exists(path: string): Promise<boolean> {
  return (await absentAsNull(access(path).then(() => true))) ?? false
}

async function absentAsNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if (isCode(error, "ENOENT") || isCode(error, "ENOTDIR")) return null
    throw unavailable(error)
  }
}

async function orUnavailable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw unavailable(error)
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code

function unavailable(cause: unknown): RegistryError {
  return new RegistryError("UNAVAILABLE", "the blob store's disk refused", { cause })
}
