/**
 * From the registry or the bucket it names into the cache: parts in parallel by range, each hashed while it arrives.
 * The whole-file digest is checked where the bytes are used, on the way out of the cache, every time.
 */
import { partLength, partSizeFor, type Resource } from "@weighlock/manifest"
import { createHash } from "node:crypto"
import type { Partial } from "./cache.ts"
import { ClientError, diskError, unavailable } from "./errors.ts"
import { type Expected, receive, writeAll } from "./receive.ts"
import type { Session } from "./session.ts"
import { problem, type Streamed } from "./transport.ts"

const parallel = 8

interface Piece extends Expected {
  readonly resource: Resource
  readonly offset: number
}

/** Puts every resource into the cache that is not there. Throws DIGEST_MISMATCH, UNAVAILABLE, NO_SPACE, STORE_REFUSED. */
export async function downloadMissing(session: Session, resources: readonly Resource[]): Promise<void> {
  const missing: Resource[] = []
  for (const resource of distinct(resources)) if (!(await session.cache.has(resource))) missing.push(resource)
  const total = missing.reduce((sum, { size }) => sum + size, 0)
  await session.cache.requireSpace(missing)
  let done = 0
  const arrived = (bytes: number): void => {
    done += bytes
    session.onProgress({ phase: "download", done, total })
  }
  const slots = new Slots(parallel)
  await forEach(missing, parallel, (resource) => download(session, resource, slots, arrived))
}

async function download(
  session: Session,
  resource: Resource,
  slots: Slots,
  arrived: (bytes: number) => void,
): Promise<void> {
  const partial = await session.cache.openPartial(resource)
  try {
    await forEach(piecesOf(resource), parallel, (piece) =>
      slots.run(async () => {
        if (!partial.adopted || !(await isThere(partial, piece))) await fetchPiece(session, partial, piece)
        arrived(piece.length)
      }),
    )
    await session.cache.commit(resource.digest, partial)
  } catch (error) {
    await session.cache.abandon(resource, partial)
    throw diskError(error, "CACHE_UNUSABLE", partial.path)
  } finally {
    await partial.file.close()
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

async function isThere({ file }: Partial, piece: Piece): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(piece.length)
  const { bytesRead } = await file.read(buffer, 0, piece.length, piece.offset)
  return bytesRead === piece.length && createHash("sha256").update(buffer).digest("hex") === piece.digest
}

async function fetchPiece(session: Session, { file }: Partial, piece: Piece): Promise<void> {
  await session.transport.retrying(async () => {
    const { url, answer } = await openPiece(session, piece)
    try {
      await receive(unbroken(session, url, answer.body), piece, async (chunk, offset) => {
        await writeAll(file, chunk, piece.offset + offset)
      })
    } finally {
      discard(answer)
    }
  })
}

/** One redirect at most, to a store that the policy allows; then exactly the range that was asked for. */
async function openPiece(session: Session, piece: Piece): Promise<{ url: URL; answer: Streamed }> {
  const { transport } = session
  const { resource, offset, length } = piece
  const range: Record<string, string> =
    resource.parts === undefined ? {} : { range: `bytes=${offset}-${offset + length - 1}` }
  const first = new URL(`api/v1/blobs/sha256/${resource.digest}`, transport.registry)
  const answer = await transport.open(first, range)
  if (answer.statusCode !== 307) return { url: first, answer: await expectBytes(first, answer, piece) }
  await answer.body.dump()
  const location = answer.headers["location"]
  const url = transport.stores.check(typeof location === "string" ? location : "")
  return { url, answer: await expectBytes(url, await transport.open(url, range), piece) }
}

async function expectBytes(url: URL, answer: Streamed, { resource, offset, length, name }: Piece): Promise<Streamed> {
  const { statusCode, headers } = answer
  const ranged = resource.parts !== undefined
  if (statusCode !== (ranged ? 206 : 200)) {
    const body = statusCode >= 400 ? await answer.body.bytes().catch(() => new Uint8Array(0)) : new Uint8Array(0)
    discard(answer)
    if (statusCode >= 400) throw problem(statusCode, body.subarray(0, 65_536), `${name} from ${url.origin}`)
    throw new ClientError("PROTOCOL", `${url.origin} answered ${statusCode} for ${name}`)
  }
  const expected = `bytes ${offset}-${offset + length - 1}/${resource.size}`
  if (ranged && headers["content-range"] !== expected) {
    discard(answer)
    throw new ClientError("PROTOCOL", `${url.origin} sent ${String(headers["content-range"])}, asked for ${expected}`)
  }
  return answer
}

// Destroying an unread body makes it emit an error, which nobody else would catch.
function discard({ body }: Streamed): void {
  body.on("error", () => undefined).destroy()
}

async function* unbroken(
  { transport }: Session,
  url: URL,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (cause) {
    throw cause instanceof ClientError ? cause : unavailable(transport.broken(url, cause).message, { cause })
  }
}

function distinct(resources: readonly Resource[]): Resource[] {
  return [...new Map(resources.map((resource) => [resource.digest, resource])).values()]
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
class Slots {
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
