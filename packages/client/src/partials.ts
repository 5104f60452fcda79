/**
 * Downloads under way, shared by every process that uses the cache: each has one owner, the others wait for it, and what
 * an owner leaves is taken over with all its good parts.
 *
 *     <64 hex>.0        being written by the first who wanted it; its heartbeat says that they live
 *     <64 hex>.3        the same bytes after three owners who died, stopped or were too slow
 *     <64 hex>.3.left   its owner failed and said so: anyone may go on at once
 *
 * Every owner gives the file a new name, from `.n` to `.n+1`. A rename needs what it renames, so of many heirs one wins,
 * and a name is made from nothing by one process only. Nothing rests on it: should two write the same file, they write the
 * same bytes, and those are hashed wherever they are used.
 */
import { constants } from "node:fs"
import { type FileHandle, lstat, open, readdir, rename, rm, unlink } from "node:fs/promises"
import { join } from "node:path"
import type { Resource } from "@weighlock/manifest"
import { deadAfter, isLongDead, startHeartbeat } from "./heartbeat.ts"

const nameForm = /^([0-9a-f]{64})\.([0-9]{1,9})(\.left)?$/

/** Somebody took this download over: they have it now. */
export class Overtaken extends Error {
  override readonly name = "Overtaken"
}

/** A download that is ours. */
export class Partial {
  readonly path: string
  readonly file: FileHandle
  /** It may hold good parts of an earlier owner. */
  readonly adopted: boolean
  readonly #stop: () => void
  #movedAt = new Date()
  #isGone = false

  constructor(path: string, file: FileHandle, adopted: boolean) {
    this.path = path
    this.file = file
    this.adopted = adopted
    this.#stop = startHeartbeat(
      path,
      () => this.#movedAt,
      () => (this.#isGone = true),
    )
  }

  /** To be called when bytes move. Throws Overtaken. */
  moved(): void {
    if (this.#isGone) throw new Overtaken(this.path)
    this.#movedAt = new Date()
  }

  /** After a failure: its good parts are for whoever tries next, at once. A file in one piece has none. */
  async leave({ parts }: Resource): Promise<void> {
    this.#stop()
    await (parts === undefined ? this.remove() : rename(this.path, `${this.path}.left`)).catch(() => undefined)
  }

  async remove(): Promise<void> {
    await unlink(this.path).catch(() => undefined)
  }

  /** It has its place in the cache: whatever gets its old name is somebody else's. */
  settled(): void {
    this.#stop()
  }

  async close(): Promise<void> {
    this.#stop()
    await this.file.close()
  }
}

interface Found {
  readonly name: string
  readonly digest: string
  readonly turn: number
  readonly isLeft: boolean
}
interface Sight {
  readonly times: string
  readonly mtime: bigint
  /** By our own stopwatch, ms: when they were new. */
  readonly since: number
}
interface Growth {
  readonly turn: number
  readonly blocks: bigint
  /** Owners since it last grew. */
  readonly vain: number
}

export class Partials {
  readonly #folder: string
  /** By name. */
  readonly #sights = new Map<string, Sight>()
  /** By digest. */
  readonly #growths = new Map<string, Growth>()
  /** When a download of somebody else's that was waited for was last seen to get further, `performance.now()`. */
  movedAt = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  /** `null` while somebody else has it: ask again soon, that is how it is watched. */
  async claim({ digest, size, parts }: Resource): Promise<Partial | null> {
    const found = (await this.#list()).filter((each) => each.digest === digest).toSorted((a, b) => b.turn - a.turn)
    for (const each of found) if (!each.isLeft && (await this.#isAlive(each))) return null
    const [newest] = found
    const path = join(this.#folder, `${digest}.${newest === undefined ? 0 : newest.turn + 1}`)
    const adopted = newest === undefined ? null : await takeOver(join(this.#folder, newest.name), path)
    const file = adopted ?? (await create(path))
    if (file === null) return null
    try {
      // Parts come in any order; a file in one piece only grows.
      const wanted = adopted === null && parts === undefined ? 0 : size
      if ((await file.stat()).size !== wanted) await file.truncate(wanted)
    } catch (error) {
      await file.close()
      throw error
    }
    return new Partial(path, file, adopted !== null)
  }

  /** Bytes on disk, by digest. */
  async held(): Promise<Map<string, number>> {
    const held = new Map<string, number>()
    for (const { name, digest } of await this.#list()) {
      const found = await lstat(join(this.#folder, name)).catch(() => null)
      if (found !== null) held.set(digest, Math.max(held.get(digest) ?? 0, 512 * found.blocks))
    }
    return held
  }

  /** Removes what nobody works on, and what does not belong here. */
  async sweep(): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const path = join(this.#folder, name)
      const found = await lstat(path).catch(() => null)
      if (found === null || (parseName(name)?.isLeft === false && !isLongDead(found))) continue
      await rm(path, { recursive: true, force: true }).catch(() => undefined)
    }
  }

  /** Seen for the first time, everything is. */
  async #isAlive({ name, digest, turn }: Found): Promise<boolean> {
    const found = await lstat(join(this.#folder, name), { bigint: true }).catch(() => null)
    if (found === null) return false
    const now = performance.now()
    const times = [found.ino, found.atimeNs, found.mtimeNs, found.ctimeNs].join()
    const last = this.#sights.get(name)
    const isTouched = last !== undefined && last.mtime !== found.mtimeNs
    if (this.#getsFurther(digest, turn, found.blocks, isTouched)) this.movedAt = now
    if (last?.times === times) return now - last.since < deadAfter
    this.#sights.set(name, { times, mtime: found.mtimeNs, since: now })
    return true
  }

  /**
   * More bytes than before, or those that are there hashed again by an heir. The latter counts once: otherwise owners who
   * fail one after the other would look busy for ever.
   */
  #getsFurther(digest: string, turn: number, blocks: bigint, isTouched: boolean): boolean {
    const last = this.#growths.get(digest) ?? { turn, blocks: -1n, vain: 0 }
    const grows = blocks > last.blocks
    const vain = grows ? 0 : last.vain + (turn === last.turn ? 0 : 1)
    this.#growths.set(digest, { turn, blocks: grows ? blocks : last.blocks, vain })
    return grows || (isTouched && vain < 2)
  }

  async #list(): Promise<Found[]> {
    return (await readdir(this.#folder)).flatMap((name) => parseName(name) ?? [])
  }
}

function parseName(name: string): Found | null {
  const [, digest, turn, left] = nameForm.exec(name) ?? []
  return digest === undefined ? null : { name, digest, turn: Number(turn), isLeft: left !== undefined }
}

/** `null` when somebody else was faster, or when it was nothing to write to. */
async function takeOver(from: string, path: string): Promise<FileHandle | null> {
  try {
    await rename(from, path)
  } catch {
    return null
  }
  try {
    if (!(await lstat(path)).isFile()) throw new Error("a link or a folder")
    return await open(path, constants.O_RDWR | constants.O_NOFOLLOW)
  } catch {
    await rm(path, { recursive: true, force: true })
    return null
  }
}

/** `null` when there is one already. */
async function create(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, "wx+", 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return null
    throw error
  }
}
