/**
 * From the registry or the bucket it names into the cache: parts in parallel by range, and behind them the hash of the whole
 * file, which is what was signed (docs/format.md, "Parts": they never replace it). Nobody is told of a file before its verdict.
 */
import type { FileHandle } from "node:fs/promises"
import type { Resource } from "@weighlock/manifest"
import type { FileHasher, Hashed } from "@weighlock/node"
import { forEach, Limiter, pause, SerialQueue } from "@weighlock/node"
import { codeOf, diskError, unavailable, Unreachable } from "./errors.ts"
import { fetchPiece, type Piece } from "./fetch-piece.ts"
import { Overtaken, type Partial } from "./partials.ts"
import { Blocks, mismatch } from "./receive.ts"
import type { Session } from "./session.ts"
import { Whole } from "./whole.ts"

const parallel = 8
/** Between two looks at what others are fetching, ms. */
const longestPause = 200
/** How long what others are fetching may stand still, ms: twice as long as they themselves wait for a byte. */
const timeoutMs = 60_000

/** A session that moves files, and the threads that hash them. */
export interface Fetching extends Session {
  readonly hasher: FileHasher
}

/** Just downloaded, its every byte checked. */
export interface Fresh {
  /** Open while `have` runs, and the entry of the cache. */
  readonly file: FileHandle
  /** Nobody else has ever been able to write to this file, not even a process that was taken for dead. */
  readonly isOurs: boolean
  /** What was hashed, when it was to be kept. */
  readonly bytes: Uint8Array<ArrayBuffer> | null
}

export interface Wishes {
  /** Keeps the bytes of what it downloads in memory: those that were hashed. */
  readonly keep?: boolean
  /** Writes to the disk while it downloads. */
  readonly sync?: boolean
  /** Told of each resource once, as soon as it is in the cache; what another process put there is `null`, and to be hashed. */
  readonly have?: (resource: Resource, fresh: Fresh | null) => Promise<void>
}

/**
 * Puts every resource into the cache that is not there; what another process is fetching already is waited for. Throws
 * DIGEST_MISMATCH, UNAVAILABLE, NO_SPACE, STORE_REFUSED, and what `have` throws.
 */
export async function downloadMissing(
  session: Fetching,
  resources: readonly Resource[],
  wishes: Wishes = {},
): Promise<void> {
  let waiting = distinct(resources)
  let missing = new Set(await absentOf(session, waiting))
  if (missing.size > 0 && session.transport.isOffline)
    throw notHere(waiting.filter((resource) => missing.has(resource)))
  const total = sizeOf(missing)
  await session.cache.requireSpace([...missing])
  let [done, movedAt, idle] = [0, performance.now(), 0]
  const arrived = (bytes: number): void => {
    movedAt = performance.now()
    session.onProgress({ phase: "download", done: (done += bytes), total })
  }
  const download = new Download(session, wishes, arrived)
  while (waiting.length > 0) {
    const busy: Resource[] = []
    await forEach(waiting, parallel, async (resource) => {
      if (!missing.has(resource)) await wishes.have?.(resource, null)
      else if (!(await download.run(resource))) busy.push(resource)
    })
    idle = busy.length < waiting.length ? 0 : idle + 1
    waiting = busy
    missing = new Set(await absentOf(session, busy))
    if (missing.size < busy.length) arrived(sizeOf(busy) - sizeOf(missing))
    else if (busy.length > 0) await othersTurn(session, busy, movedAt, idle)
  }
}

function notHere(missing: readonly Resource[]): Unreachable {
  const [first] = missing
  const others = missing.length === 1 ? "is" : `and ${missing.length - 1} more files are`
  return new Unreachable(`offline, and ${first?.name} ${others} not in the cache as signed`, {
    hint: "fetch it once while the registry can be reached",
  })
}

/** Others have all that is missing: looks away for a moment, and gives up once none of them has got further for long. */
async function othersTurn(session: Session, [first]: readonly Resource[], since: number, idle: number): Promise<void> {
  if (performance.now() - Math.max(since, session.cache.partials.movedAt) > timeoutMs)
    throw unavailable(`another process is fetching ${first?.name} and has not got further for ${timeoutMs / 1000} s`, {
      hint: "try again; WEIGHLOCK_CACHE names a cache of its own",
    })
  await pause(Math.min(longestPause, 10 * (idle + 1)), session.signal)
}

async function absentOf({ cache }: Session, resources: readonly Resource[]): Promise<Resource[]> {
  const absent: Resource[] = []
  await forEach(resources, parallel, async (resource) => {
    if (!(await cache.has(resource))) absent.push(resource)
  })
  return absent
}

class Download {
  readonly #session: Fetching
  readonly #wishes: Wishes
  readonly #arrived: (bytes: number) => void
  readonly #pieces = new Limiter(parallel)
  readonly #blocks = new Blocks()
  /** Each holds one of the few threads that write, too. */
  readonly #syncing = new SerialQueue()

  constructor(session: Fetching, wishes: Wishes, arrived: (bytes: number) => void) {
    this.#session = session
    this.#wishes = wishes
    this.#arrived = arrived
  }

  /** `false` when another process is at it. */
  async run(resource: Resource): Promise<boolean> {
    // Others may have finished it since we looked, which can be long ago: whoever is killed now leaves no empty name behind.
    if (await this.#session.cache.has(resource)) {
      this.#arrived(resource.size)
      await this.#wishes.have?.(resource, null)
      return true
    }
    const partial = await claim(this.#session, resource)
    if (partial === null) return false
    try {
      const hashed = await this.#fill(resource, partial)
      if (hashed === "overtaken") return false
      const fresh = hashed && { file: partial.file, isOurs: !partial.adopted, bytes: hashed.bytes }
      await this.#wishes.have?.(resource, fresh)
      return true
    } finally {
      await partial.close()
    }
  }

  /** Into the cache. `null`: there it is already. */
  async #fill(resource: Resource, partial: Partial): Promise<Hashed | null | "overtaken"> {
    const { cache } = this.#session
    let got = 0
    const arrived = (bytes: number): void => {
      got += bytes
      this.#arrived(bytes)
    }
    try {
      // Whoever had it before may have finished it after we looked.
      if (await cache.has(resource)) {
        await partial.remove()
        arrived(resource.size)
        return null
      }
      const hashed = await this.#fetch(resource, partial, arrived)
      await cache.commit(resource.digest, partial)
      partial.settled()
      return hashed
    } catch (error) {
      this.#arrived(-got)
      if (error instanceof Overtaken) return "overtaken"
      await partial.leave(resource)
      throw diskError(error, "CACHE_UNUSABLE", partial.path)
    }
  }

  async #fetch(resource: Resource, partial: Partial, arrived: (bytes: number) => void): Promise<Hashed> {
    const { file } = partial
    const { hasher } = this.#session
    const moved = (): void => partial.moved()
    const target = { file, blocks: this.#blocks, moved, writes: new SerialQueue(), link: null }
    const whole = new Whole(hasher, file, resource, { keep: this.#wishes.keep === true, onBytes: moved })
    const syncs = new Syncs(file, this.#syncing)
    const adopted: Piece[] = []
    try {
      await forEach(whole.pieces, parallel, (piece) =>
        this.#pieces.run(
          async () => {
            if (partial.adopted && (await isRight(hasher, partial, piece))) adopted.push(piece)
            else await fetchPiece(this.#session, target, piece)
            whole.has(piece)
            if (this.#wishes.sync === true) syncs.begin()
            arrived(piece.length)
          },
          { owner: resource, signal: this.#session.signal },
        ),
      )
      const hashed = await whole.end()
      await syncs.end()
      return hashed
    } catch (error) {
      if (isWrong(error)) await disown(hasher, partial, adopted)
      throw cutShort(error, resource)
    } finally {
      await whole.forget()
      await syncs.end().catch(() => undefined)
    }
  }
}

/** Gives the disk something to do while bytes still arrive. The system tells of a failure once, so it is kept. */
class Syncs {
  readonly #file: FileHandle
  readonly #queue: SerialQueue
  #running: Promise<void> | null = null
  #failure: { readonly error: unknown } | null = null

  constructor(file: FileHandle, queue: SerialQueue) {
    this.#file = file
    this.#queue = queue
  }

  begin(): void {
    this.#running ??= this.#queue
      .run(() => this.#file.datasync())
      .catch((error: unknown) => void (this.#failure ??= { error }))
      .finally(() => (this.#running = null))
  }

  async end(): Promise<void> {
    await this.#running
    if (this.#failure !== null) throw this.#failure.error
  }
}

async function claim({ cache }: Session, resource: Resource): Promise<Partial | null> {
  try {
    return await cache.partials.claim(resource)
  } catch (error) {
    throw diskError(error, "CACHE_UNUSABLE", cache.folder)
  }
}

async function isRight(hasher: FileHasher, partial: Partial, { offset, length, digest }: Piece): Promise<boolean> {
  const range = { start: offset, size: length }
  try {
    return (await hasher.hashRange(partial.file, range, { onBytes: () => partial.moved() })).digest === digest
  } catch (error) {
    if (isCutShort(error)) return false
    throw error
  }
}

/** Parts that were right and are not any more: somebody else writes to this file, and it is nobody's. Throws Overtaken. */
async function disown(hasher: FileHasher, partial: Partial, pieces: readonly Piece[]): Promise<void> {
  for (const piece of pieces) {
    if (await isRight(hasher, partial, piece)) continue
    await partial.remove()
    throw new Overtaken(partial.path)
  }
}

function isWrong(error: unknown): boolean {
  return isCutShort(error) || codeOf(error) === "DIGEST_MISMATCH"
}

function isCutShort(error: unknown): boolean {
  return codeOf(error) === "FILE_CHANGED"
}

/** Somebody made the file shorter after it was written: no more right than other bytes. */
function cutShort(error: unknown, { name, size }: Resource): unknown {
  return isCutShort(error) ? mismatch(`${name}: the cache's copy lost some of the signed ${size} bytes`) : error
}

function distinct(resources: readonly Resource[]): Resource[] {
  return [...new Map(resources.map((resource) => [resource.digest, resource])).values()]
}

function sizeOf(resources: Iterable<Resource>): number {
  let sum = 0
  for (const { size } of resources) sum += size
  return sum
}
