/**
 * From the registry or the bucket it names into the cache: parts in parallel by range, each hashed while it arrives.
 * The whole-file digest is checked where the bytes are used, on the way out of the cache, every time.
 */
import { partLength, partSizeFor, type Resource } from "@weighlock/manifest"
import type { HashPool } from "@weighlock/manifest/node"
import { setTimeout as pause } from "node:timers/promises"
import { ClientError, diskError, unavailable } from "./errors.ts"
import { type Expected, mismatch, receive, writeAll } from "./receive.ts"
import type { Session } from "./session.ts"
import { Overtaken, type Partial } from "./partials.ts"
import { problem } from "./problem.ts"
import type { Streamed } from "./transport.ts"

const parallel = 8
/** Between two looks at what others are fetching, ms. */
const longestPause = 200
/** How long what others are fetching may stand still, ms: twice as long as they themselves wait for a byte. */
const patience = 60_000

/** A session that moves files, and the threads that hash them. */
export interface Fetching extends Session {
  readonly hashes: HashPool
}

/** Where the bytes of a file are: with the store that the registry sent us to, for as long as that link holds. */
interface Source {
  link: URL | null
}

interface Piece extends Expected {
  readonly resource: Resource
  readonly offset: number
}

/**
 * Puts every resource into the cache that is not there, and tells `have` of each as soon as it is; what another process is
 * fetching already is waited for. Throws DIGEST_MISMATCH, UNAVAILABLE, NO_SPACE, STORE_REFUSED, and what `have` throws.
 */
export async function downloadMissing(
  session: Fetching,
  resources: readonly Resource[],
  have: (digest: string) => Promise<void> = async () => undefined,
): Promise<void> {
  let waiting = distinct(resources)
  let missing = new Set(await absentOf(session, waiting))
  const total = sizeOf(missing)
  await session.cache.requireSpace([...missing])
  let [done, movedAt, idle] = [0, performance.now(), 0]
  const arrived = (bytes: number): void => {
    movedAt = performance.now()
    session.onProgress({ phase: "download", done: (done += bytes), total })
  }
  const slots = new Slots(parallel)
  while (waiting.length > 0) {
    const busy: Resource[] = []
    await forEach(waiting, parallel, async (resource) => {
      if (missing.has(resource) && !(await download(session, resource, slots, arrived))) busy.push(resource)
      else await have(resource.digest)
    })
    idle = busy.length < waiting.length ? 0 : idle + 1
    waiting = busy
    missing = new Set(await absentOf(session, busy))
    if (missing.size < busy.length) arrived(sizeOf(busy) - sizeOf(missing))
    else if (busy.length > 0) await othersTurn(session, busy, movedAt, idle)
  }
}

/** Others have all that is missing: looks away for a moment, and gives up once none of them has got further for long. */
async function othersTurn(session: Session, [first]: readonly Resource[], since: number, idle: number): Promise<void> {
  if (performance.now() - Math.max(since, session.cache.partials.movedAt) > patience)
    throw unavailable(`another process is fetching ${first?.name} and has not got further for ${patience / 1000} s`, {
      hint: "try again; WEIGHLOCK_CACHE names a cache of its own",
    })
  const { signal } = session
  await pause(Math.min(longestPause, 10 * (idle + 1)), undefined, signal === undefined ? {} : { signal })
}

async function absentOf({ cache }: Session, resources: readonly Resource[]): Promise<Resource[]> {
  const absent: Resource[] = []
  await forEach(resources, parallel, async (resource) => {
    if (!(await cache.has(resource))) absent.push(resource)
  })
  return absent
}

/** `false` when another process is at it. */
async function download(
  session: Fetching,
  resource: Resource,
  slots: Slots,
  arrived: (bytes: number) => void,
): Promise<boolean> {
  const { cache } = session
  const partial = await claim(session, resource)
  if (partial === null) return false
  let got = 0
  try {
    // Whoever had it before may have finished it after we looked.
    if (await cache.has(resource)) {
      await partial.remove()
      arrived(resource.size)
    } else {
      const source: Source = { link: null }
      // The system lets one at a time write to a file: others would burn processor time waiting for that.
      const writes = new Slots(1)
      await forEach(piecesOf(resource), parallel, (piece) =>
        slots.run(async () => {
          if (!partial.adopted || !(await isThere(session, partial, piece)))
            await fetchPiece(session, source, partial, writes, piece)
          got += piece.length
          arrived(piece.length)
        }),
      )
      await cache.commit(resource.digest, partial)
    }
    return true
  } catch (error) {
    arrived(-got)
    if (error instanceof Overtaken) return false
    await partial.leave(resource)
    throw diskError(error, "CACHE_UNUSABLE", partial.path)
  } finally {
    await partial.close()
  }
}

async function claim({ cache }: Session, resource: Resource): Promise<Partial | null> {
  try {
    return await cache.partials.claim(resource)
  } catch (error) {
    throw diskError(error, "CACHE_UNUSABLE", cache.folder)
  }
}

function piecesOf(resource: Resource): Piece[] {
  const { name, digest, size, parts } = resource
  if (parts === undefined) return [{ resource, name, offset: 0, length: size, digest }]
  return parts.digests.map((part, at) => ({
    resource,
    name: `${name} part ${at + 1}`,
    offset: at * partSizeFor(size),
    length: partLength(resource, at),
    digest: part,
  }))
}

async function isThere({ hashes }: Fetching, partial: Partial, piece: Piece): Promise<boolean> {
  try {
    const range = { start: piece.offset, size: piece.length }
    const { digest } = await hashes.hashRange(partial.file, range, { onBytes: () => partial.moved() })
    return digest === piece.digest
  } catch (error) {
    if ((error as { code?: unknown }).code === "FILE_CHANGED") return false
    throw error
  }
}

async function fetchPiece(
  session: Fetching,
  source: Source,
  partial: Partial,
  writes: Slots,
  piece: Piece,
): Promise<void> {
  await session.transport.retrying(async (alive) => {
    const { url, answer } = await openPiece(session, source, piece)
    const moved = (): void => {
      alive()
      partial.moved()
    }
    try {
      await receive(session.hashes, unbroken(session, url, answer.body, moved), piece, (block, offset) =>
        writes.run(() => writeAll(partial.file, block, piece.offset + offset)),
      )
    } finally {
      discard(answer)
    }
  })
}

/** One redirect at most, to a store that the policy allows; then exactly the range that was asked for. */
async function openPiece(
  session: Session,
  source: Source,
  piece: Piece,
): Promise<{ readonly url: URL; readonly answer: Streamed }> {
  const { transport } = session
  const { resource, offset, length } = piece
  const range: Record<string, string> =
    resource.parts === undefined ? {} : { range: `bytes=${offset}-${offset + length - 1}` }
  if (source.link !== null) {
    const url = source.link
    const answer = await transport.open(url, range)
    if (answer.statusCode !== 403) return { url, answer: await expectBytes(url, answer, piece) }
    await answer.body.dump() // the link has run out
    source.link = null
  }
  const first = new URL(`api/v1/blobs/sha256/${resource.digest}`, transport.registry)
  const answer = await transport.open(first, range)
  if (answer.statusCode !== 307) return { url: first, answer: await expectBytes(first, answer, piece) }
  await answer.body.dump()
  const location = answer.headers["location"]
  const url = transport.stores.check(typeof location === "string" ? location : "")
  const opened = await expectBytes(url, await transport.open(url, range), piece)
  source.link = url
  return { url, answer: opened }
}

async function expectBytes(url: URL, answer: Streamed, piece: Piece): Promise<Streamed> {
  const { statusCode, headers } = answer
  const ranged = piece.resource.parts !== undefined
  const expected = rangeOf(piece)
  if (statusCode === (ranged ? 206 : 200) && (!ranged || headers["content-range"] === expected)) return answer
  try {
    requireSameSize(url, answer, piece)
    if (statusCode >= 400) throw problem(statusCode, await beginning(answer), `${piece.name} from ${url.origin}`)
    const sent = ranged && statusCode === 206 ? `${String(headers["content-range"])} for ${expected}` : statusCode
    throw new ClientError("PROTOCOL", `${url.origin} answered ${sent} to a question for ${piece.name}`)
  } finally {
    discard(answer)
  }
}

/** A signed manifest lists these bytes: a store that has none, fewer or more of them has other bytes (contract: exit 13). */
function requireSameSize(url: URL, { statusCode, headers }: Streamed, { resource, name }: Piece): void {
  if (statusCode === 404) throw mismatch(`${name} is signed, but ${url.origin} does not have it`)
  if (resource.parts === undefined) return
  const total = /^bytes [0-9]{1,16}-[0-9]{1,16}\/([0-9]{1,16})$/.exec(String(headers["content-range"]))?.[1]
  const otherSize = statusCode === 206 && total !== undefined && Number(total) !== resource.size
  const isEmpty = statusCode === 200 && headers["content-length"] === "0"
  if (statusCode === 416 || otherSize || isEmpty)
    throw mismatch(`${resource.name}: ${url.origin} does not have the signed ${resource.size} bytes`)
}

function rangeOf({ resource, offset, length }: Piece): string {
  return `bytes ${offset}-${offset + length - 1}/${resource.size}`
}

/** Of an error page. */
async function beginning({ body }: Streamed): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      chunks.push(chunk)
      if ((size += chunk.length) > 65_536) break
    }
  } catch {
    // What came is what there is.
  }
  return Buffer.concat(chunks).subarray(0, 65_536)
}

// Destroying an unread body makes it emit an error, which nobody else would catch.
function discard({ body }: Streamed): void {
  body.on("error", () => undefined).destroy()
}

async function* unbroken(
  { transport }: Session,
  url: URL,
  body: AsyncIterable<Uint8Array>,
  moved: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) {
      moved()
      yield chunk
    }
  } catch (cause) {
    if (cause instanceof ClientError || cause instanceof Overtaken) throw cause
    throw unavailable(transport.broken(url, cause).message, { cause })
  }
}

function distinct(resources: readonly Resource[]): Resource[] {
  return [...new Map(resources.map((resource) => [resource.digest, resource])).values()]
}

function sizeOf(resources: Iterable<Resource>): number {
  let sum = 0
  for (const { size } of resources) sum += size
  return sum
}

/** Runs `task` on every item, `width` at a time. After the first failure nothing new starts; what runs is awaited. */
export async function forEach<T>(items: Iterable<T>, width: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = items[Symbol.iterator]()
  let failure: { error: unknown } | null = null
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true && failure === null; next = queue.next()) {
      try {
        await task(next.value)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: width }, work))
  if (failure !== null) throw (failure as { error: unknown }).error
}

/** At most `width` tasks at once, whoever asks. */
export class Slots {
  #free: number
  readonly #waiting: (() => void)[] = []
  constructor(width: number) {
    this.#free = width
  }

  async run(task: () => Promise<void>): Promise<void> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#free--
    try {
      await task()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
