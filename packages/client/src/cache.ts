/**
 * A content-addressed cache on disk, shared by every process of one user and trusted by none: whatever is read from it is
 * hashed on the way into memory, and what does not match is set aside.
 *
 *     <cache>/blobs/sha256/ab/<64 hex>       0600, complete as far as its writer knew
 *     <cache>/partial/<64 hex>.<n>           being downloaded by one process for all of them (partials.ts)
 *     <cache>/quarantine/<64 hex>.<random>   did not match; kept for a look, first to go
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import {
  chmod,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  statfs,
  unlink,
  utimes,
} from "node:fs/promises"
import { dirname, join } from "node:path"
import { isSha256Hex, type Resource } from "@weighlock/manifest"
import type { FileHasher, ReadOptions } from "@weighlock/node"
import { ClientError } from "./errors.ts"
import { Overtaken, type Partial, Partials } from "./partials.ts"

export interface CacheEntry {
  readonly digest: string
  /** Bytes. */
  readonly size: number
  readonly usedAt: Date
}

export class Cache {
  readonly folder: string
  readonly partials: Partials
  private constructor(folder: string) {
    this.folder = folder
    this.partials = new Partials(join(folder, "partial"))
  }

  /** Creates what is missing, 0700. Refuses a folder that others may write (CACHE_UNUSABLE). */
  static async open(folder: string): Promise<Cache> {
    try {
      for (const name of ["", "partial", "quarantine", "blobs", "blobs/sha256"])
        await mkdir(join(folder, name), { recursive: true, mode: 0o700 })
      const { mode, uid } = await lstat(folder)
      if (process.platform !== "win32" && ((mode & 0o022) !== 0 || uid !== process.getuid?.()))
        throw new Error("others may write to it")
      if ((mode & 0o077) !== 0) await chmod(folder, 0o700)
    } catch (cause) {
      throw new ClientError("CACHE_UNUSABLE", `cannot use the cache ${folder}: ${(cause as Error).message}`, {
        cause,
        hint: "set WEIGHLOCK_CACHE to a folder of your own",
      })
    }
    return new Cache(folder)
  }

  pathOf(digest: string): string {
    if (!isSha256Hex(digest)) throw new RangeError("a cache key is 64 hex digits")
    return join(this.folder, "blobs", "sha256", digest.slice(0, 2), digest)
  }

  async has({ digest, size }: Resource): Promise<boolean> {
    const found = await lstat(this.pathOf(digest)).catch(() => null)
    const isIt = found !== null && found.isFile() && found.size === size
    if (found !== null && !isIt) await this.#quarantine(digest)
    return isIt
  }

  /** The bytes of an entry, those that were hashed. `wrong`: what lay there was not it, and is in quarantine now. */
  async load(
    hasher: FileHasher,
    resource: Resource,
    options: ReadOptions,
  ): Promise<Uint8Array<ArrayBuffer> | "absent" | "wrong"> {
    return await this.#read(resource, async (file) => {
      const { digest, bytes } = await hasher.hashRange(
        file,
        { start: 0, size: resource.size },
        { ...options, keep: true },
      )
      return digest === resource.digest ? bytes : null
    })
  }

  /**
   * Makes `path`, which must not be there, a copy of an entry: of the same blocks, where the file system can. It is the copy
   * that is hashed; one that is not right does not stay.
   */
  async copy(
    hasher: FileHasher,
    resource: Resource,
    path: string,
    options: ReadOptions,
  ): Promise<"whole" | "absent" | "wrong"> {
    const found = await this.#read(resource, async (file) => {
      const entry = this.pathOf(resource.digest)
      try {
        await copyFile(entry, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
      } catch (error) {
        if ((await lstat(entry).catch(() => null))?.ino !== (await file.stat()).ino) return "absent" // pruned meanwhile
        await hasher.hashRange(file, { start: 0, size: resource.size }) // throws where it is the entry that cannot be read
        throw error
      }
      const copy = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
      try {
        const { digest } = await hasher.hashRange(copy, { start: 0, size: resource.size }, options)
        return digest === resource.digest && (await copy.stat()).size === resource.size ? "whole" : null
      } finally {
        await copy.close()
      }
    })
    if (found !== "whole") await rm(path, { force: true })
    return found
  }

  async #read<T>(
    { digest, size }: Resource,
    use: (file: FileHandle) => Promise<T | null>,
  ): Promise<T | "absent" | "wrong"> {
    const path = this.pathOf(digest)
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => null)
    if (file === null) return "absent"
    try {
      const found = await file.stat()
      const got = found.isFile() && found.size === size ? await use(file).catch(unreadable) : null
      if (got !== null) {
        await utimes(path, new Date(), found.mtime).catch(() => undefined)
        return got
      }
      // Another process may have put the right bytes there since: only what was read goes.
      if ((await lstat(path).catch(() => null))?.ino === found.ino) await this.#quarantine(digest)
      return "wrong"
    } finally {
      await file.close()
    }
  }

  async #quarantine(digest: string): Promise<void> {
    await rename(
      this.pathOf(digest),
      join(this.folder, "quarantine", `${digest}.${randomBytes(4).toString("hex")}`),
    ).catch(() => undefined)
  }

  /**
   * Makes a finished partial file the entry; an entry that is there already is replaced by the same bytes. Not synced: an
   * entry that a power cut tore does not match, and is set aside. Throws Overtaken.
   */
  async commit(digest: string, { path, file }: Partial): Promise<void> {
    const entry = this.pathOf(digest)
    const there = await lstat(path).catch(() => null)
    if (there?.ino !== (await file.stat()).ino) throw new Overtaken(path) // names come round again, files do not
    if (await renamed(path, entry)) return
    await mkdir(dirname(entry), { recursive: true, mode: 0o700 })
    if (!(await renamed(path, entry))) throw new Overtaken(path)
  }

  /** Throws NO_SPACE unless these fit on the cache's disk; what partial files hold of them already counts as there. */
  async requireSpace(missing: readonly Resource[]): Promise<void> {
    const { bavail, bsize } = await statfs(this.folder)
    const held = await this.partials.held()
    const bytes = missing.reduce((sum, { digest, size }) => sum + Math.max(0, size - (held.get(digest) ?? 0)), 0)
    if (bytes > bavail * bsize) {
      throw new ClientError("NO_SPACE", `the model needs ${bytes} bytes, ${this.folder} has ${bavail * bsize} left`, {
        hint: "weighlock cache prune --max-bytes 0, or set WEIGHLOCK_CACHE to a larger disk",
      })
    }
  }

  /** Least recently used first. */
  async list(): Promise<CacheEntry[]> {
    const root = join(this.folder, "blobs", "sha256")
    const entries: CacheEntry[] = []
    for (const shard of await readdir(root)) {
      for (const digest of await readdir(join(root, shard)).catch(() => [])) {
        const found = await lstat(join(root, shard, digest)).catch(() => null)
        if (found !== null && isSha256Hex(digest)) entries.push({ digest, size: found.size, usedAt: found.atime })
      }
    }
    return entries.toSorted((a, b) => a.usedAt.getTime() - b.usedAt.getTime())
  }

  /** Removes what was set aside, downloads that nobody works on, and the least recently used entries beyond `maxBytes`. */
  async prune(maxBytes: number): Promise<{ readonly removed: number; readonly bytes: number }> {
    await this.#sweep()
    const entries = await this.list()
    let excess = entries.reduce((sum, { size }) => sum + size, 0) - maxBytes
    let [removed, bytes] = [0, 0]
    for (const { digest, size } of entries) {
      if (excess <= 0) break
      await unlink(this.pathOf(digest)).catch(() => undefined)
      excess -= size
      bytes += size
      removed++
    }
    return { removed, bytes }
  }

  async #sweep(): Promise<void> {
    for (const name of await readdir(join(this.folder, "quarantine")))
      await rm(join(this.folder, "quarantine", name), { recursive: true, force: true })
    await this.partials.sweep()
  }
}

/** `false` when one of the two has no such place. */
async function renamed(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false
    throw error
  }
}

/** A file that was cut short meanwhile, or whose disk fails: no more right than other bytes. */
function unreadable(error: unknown): null {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (code === "FILE_CHANGED" || (code === "EIO" && syscall === "read")) return null
  throw error
}
