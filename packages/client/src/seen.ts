/**
 * What this machine has seen of a log: the last checkpoint it verified, as the exact signed note, kept by the pin of the
 * trust root. A log that shows less, or something else, is caught by it.
 *
 *     <state>/seen/<sha256 of root v1's payload>/0000000000001042.checkpoint
 *     <state>/seen/<…>/evidence/…                       see evidence.ts
 *
 * The largest is the state; a file is never rewritten. Whoever saves a larger one removes a smaller one only after it was
 * shown that the larger grew out of it, so two processes that were shown two histories can't overlook each other, and no
 * lock is needed. Garbage is not "nothing seen": it is STATE_DAMAGED.
 */
import { constants } from "node:fs"
import { type FileHandle, lstat, open, readdir, unlink } from "node:fs/promises"
import { join } from "node:path"
import { decodeUtf8, limits, type TrustChain } from "@weighlock/manifest"
import { createFile, homeFolder, makeFolder, readWhole, syncFolder } from "@weighlock/node"
import { type Checkpoint, emptyCheckpoint, equalHashes, openCheckpoint } from "@weighlock/tlog"
import { ClientError } from "./errors.ts"

/** A checkpoint and the signed note that says it; `null` is the empty log, which nobody needs to sign. */
export interface SignedCheckpoint {
  readonly checkpoint: Checkpoint
  readonly note: string | null
}

/** Shows that the later checkpoint grew out of the earlier one, or throws. Sizes may come in either order. */
export type ProveGrowth = (one: SignedCheckpoint, other: SignedCheckpoint) => Promise<unknown>

const namePattern = /^\d{16}\.checkpoint$/

export class Seen {
  /** Of this log alone. */
  readonly folder: string
  readonly #log: { readonly origin: string; readonly vkeys: readonly string[] }

  constructor(state: string, { roots, current }: TrustChain) {
    this.folder = join(state, "seen", roots[0]?.digest ?? current.digest)
    this.#log = current.log
  }

  /** The largest checkpoint seen; the empty one at first contact. Makes nothing. STATE_DAMAGED, STATE_UNUSABLE. */
  async read(): Promise<SignedCheckpoint> {
    const kept = await this.#readAll()
    return kept.at(-1) ?? { checkpoint: emptyCheckpoint(this.#log.origin), note: null }
  }

  /** Makes the folder, or throws STATE_UNUSABLE before anyone has done work whose outcome could not be remembered. */
  async prepare(): Promise<void> {
    try {
      await makeFolder(this.folder)
      const { mode, uid } = await lstat(this.folder)
      if (process.platform !== "win32" && ((mode & 0o022) !== 0 || uid !== process.getuid?.()))
        throw new Error("others may write to it")
    } catch (cause) {
      throw unusable(this.folder, cause)
    }
  }

  /**
   * Durable once it resolves. `shown` was proven to be consistent with `before`, which `read` returned; what other
   * processes have saved in the meantime is proven here. Throws what `prove` throws, and then both stay.
   */
  async keep(shown: SignedCheckpoint, before: SignedCheckpoint, prove: ProveGrowth): Promise<void> {
    const grew = isSmaller(before, shown)
    if (grew) await this.#create(shown)
    else if ((await this.#names()).every((name) => name === nameOf(before.checkpoint))) return
    const mine = grew ? shown : before
    const kept = await this.#readAll()
    for (const one of kept) if (!same(one, before) && !same(one, mine)) await prove(one, mine)
    const newest = kept.at(-1) ?? mine
    // Two that are both larger than mine were not compared with each other: that is for whoever saved them.
    for (const one of kept)
      if (isSmaller(one, newest) && one.checkpoint.size <= mine.checkpoint.size) await this.#remove(one)
  }

  async #create({ checkpoint, note }: SignedCheckpoint): Promise<void> {
    await this.prepare()
    try {
      await createFile(this.#pathOf(checkpoint), Buffer.from(note ?? ""))
    } catch (cause) {
      throw unusable(this.folder, cause)
    }
  }

  async #remove({ checkpoint }: SignedCheckpoint): Promise<void> {
    await unlink(this.#pathOf(checkpoint)).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw unusable(this.folder, cause)
    })
    await syncFolder(this.folder)
  }

  /** Ascending by size. A file that vanishes was removed by another process that keeps a larger one. */
  async #readAll(): Promise<SignedCheckpoint[]> {
    for (let tries = 0; tries < 100; tries++) {
      const names = await this.#names()
      const kept = await Promise.all(names.map((name) => this.#readFile(name)))
      if (!kept.includes(null)) return kept.filter((one) => one !== null)
    }
    throw unusable(this.folder, new Error("other processes change it all the time"))
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.folder).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return []
      throw unusable(this.folder, cause)
    })
    const checkpoints = names.filter((name) => name.endsWith(".checkpoint"))
    const stray = checkpoints.find((name) => !namePattern.test(name))
    if (stray !== undefined) throw damaged(join(this.folder, stray), "no size has that name")
    return checkpoints.toSorted()
  }

  async #readFile(name: string): Promise<SignedCheckpoint | null> {
    const path = join(this.folder, name)
    const bytes = await readSmall(path)
    if (bytes === null) return null
    try {
      const note = decodeUtf8(bytes, path)
      const checkpoint = openCheckpoint(note, this.#log)
      if (this.#pathOf(checkpoint) === path) return { checkpoint, note }
    } catch (cause) {
      throw damaged(path, "it is no checkpoint signed by this log", cause)
    }
    throw damaged(path, "it holds a checkpoint of another size")
  }

  #pathOf({ size }: Pick<Checkpoint, "size">): string {
    return join(this.folder, nameOf({ size }))
  }
}

function nameOf({ size }: Pick<Checkpoint, "size">): string {
  return `${String(size).padStart(16, "0")}.checkpoint`
}

/** The folder of what this user has seen, unless `WEIGHLOCK_HOME` or `XDG_DATA_HOME` say otherwise. Throws STATE_UNUSABLE where there is none. */
export function defaultState(): string {
  const { WEIGHLOCK_HOME, XDG_DATA_HOME } = process.env
  if (WEIGHLOCK_HOME !== undefined) return WEIGHLOCK_HOME
  if (XDG_DATA_HOME !== undefined) return join(XDG_DATA_HOME, "weighlock")
  const home = homeFolder()
  if (home !== null) return join(home, ".local", "share", "weighlock")
  throw new ClientError("STATE_UNUSABLE", "this user has no home folder to keep in what was seen of logs", {
    hint: "set WEIGHLOCK_HOME to a folder of your own that survives restarts",
  })
}

function same(a: SignedCheckpoint, b: SignedCheckpoint): boolean {
  return a.checkpoint.size === b.checkpoint.size && equalHashes(a.checkpoint.root, b.checkpoint.root)
}

function isSmaller(a: SignedCheckpoint, b: SignedCheckpoint): boolean {
  return a.checkpoint.size < b.checkpoint.size
}

/** `null` when there is none. */
async function readSmall(path: string): Promise<Uint8Array | null> {
  let file: FileHandle | null = null
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const { size } = await file.stat()
    const bytes = size > limits.checkpoint ? null : await readWhole(file)
    if (bytes === null) throw damaged(path, "it is no file of a checkpoint's size")
    return bytes
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT") return null
    if (code === "ELOOP") throw damaged(path, "it is a symbolic link", cause)
    throw unusable(path, cause)
  } finally {
    await file?.close()
  }
}

function damaged(path: string, why: string, cause?: unknown): ClientError {
  return new ClientError("STATE_DAMAGED", `${path}: ${why}`, {
    cause,
    hint: "what this machine has seen of the log is lost: find out who changed that file, then remove it to begin anew",
  })
}

function unusable(path: string, cause: unknown): ClientError {
  if (cause instanceof ClientError) return cause
  const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
  return new ClientError("STATE_UNUSABLE", `cannot keep what was seen of the log in ${path}: ${why}`, {
    cause,
    hint: "set WEIGHLOCK_HOME to a folder of your own that survives restarts",
  })
}
