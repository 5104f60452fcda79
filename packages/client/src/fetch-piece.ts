/** One piece of a file, from the registry or the store it sends us to: exactly the range that was asked for, written in its place. */
import type { FileHandle } from "node:fs/promises"
import { partLength, partSizeFor, type Resource } from "@weighlock/manifest"
import type { Alive, SerialQueue } from "@weighlock/node"
import { ClientError, codeOf, Unreachable } from "./errors.ts"
import type { Incoming } from "./incoming.ts"
import { type Blocks, type Expected, mismatch, receive } from "./receive.ts"
import { problem } from "./problem.ts"
import type { Session } from "./session.ts"
import { linkProblem } from "./store-problem.ts"
import { retryAfter } from "./transport.ts"

export interface Piece extends Expected {
  readonly resource: Resource
  /** Which one, from 0. */
  readonly at: number
  /** Of its first byte in the file. */
  readonly offset: number
  /** SHA-256, hex. */
  readonly digest: string
}

/** Where the pieces of one file come from. */
export interface Origin {
  /** With the store that the registry sent us to, for as long as that link holds. */
  link: URL | null
}

/** Where they come from and go to. */
export interface Target extends Origin {
  readonly file: FileHandle
  readonly blocks: Blocks
  /** The system lets one at a time write to a file: others would burn processor time waiting for that. */
  readonly writes: SerialQueue
  /** Told that bytes move. What it throws is thrown on. */
  moved(): void
}

export function piecesOf(resource: Resource): Piece[] {
  const { name, digest, size, parts } = resource
  if (parts === undefined) return [{ resource, at: 0, name, offset: 0, length: size, digest }]
  return parts.digests.map((part, at) => ({
    resource,
    at,
    name: `${name} part ${at + 1}`,
    offset: at * partSizeFor(size),
    length: partLength(resource, at),
    digest: part,
  }))
}

/** Bytes that a connection has to bring before it breaks, so that trying goes on beyond the usual number of times. */
const goodProgress = 2 ** 16

/**
 * Its length is right when this resolves; what the bytes are is for the caller to look at. Where connections are cut again
 * and again, each goes on where the one before ended.
 */
export async function fetchPiece(session: Session, target: Target, piece: Piece): Promise<void> {
  let kept = 0
  const attempt = async (alive: Alive): Promise<void> => {
    const rest = { ...piece, offset: piece.offset + kept, length: piece.length - kept }
    if (kept > 0 && rest.length === 0) return // all of it came, and then no end of the answer
    const answer = await openPiece(session, target, rest, alive).catch((error: unknown) => {
      if (kept === 0 || piece.resource.parts !== undefined || codeOf(error) !== "PROTOCOL") throw error
      kept = 0 // whoever has the file knows no ranges: from its beginning, then
      throw new Unreachable((error as Error).message, { cause: error })
    })
    const moved = (): void => {
      alive()
      target.moved()
    }
    try {
      await receive(answer, rest, { ...target, moved }, (bytes) => (kept += bytes))
    } finally {
      answer.stop()
    }
  }
  for (;;) {
    const before = kept
    try {
      return await session.transport.retrying(attempt)
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error
      if (kept < before + goodProgress) throw ofPiece(error, piece)
    }
  }
}

/** Which file it was about, unless that is said. */
function ofPiece(error: Unreachable, { name, resource }: Piece): Unreachable {
  if (error.message.includes(resource.name)) return error
  const { message, hint } = error
  return new Unreachable(`${name}: ${message}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
}

/** As `fetchPiece`, into memory. Throws DIGEST_MISMATCH as soon as a byte too many comes. */
export async function readPiece(
  session: Pick<Session, "transport">,
  origin: Origin,
  piece: Piece,
): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(piece.length)
  await session.transport.retrying(async (alive) => {
    const answer = await openPiece(session, origin, piece, alive)
    let received = 0
    try {
      await answer.read((chunk) => {
        alive()
        if (received + chunk.length > piece.length)
          throw mismatch(`${piece.name}: more than the signed ${piece.length} bytes`)
        bytes.set(chunk, received)
        received += chunk.length
      })
    } finally {
      answer.stop()
    }
    if (received !== piece.length) throw mismatch(`${piece.name}: ${received} of the signed ${piece.length} bytes`)
  })
  return bytes
}

/** What a store answers when a link has run out: 400 where the registry's own session has (ExpiredToken). */
const refusals: ReadonlySet<number> = new Set([400, 401, 403])

/** One redirect at most, to a store that the policy allows; then exactly the range that was asked for. */
async function openPiece(
  session: Pick<Session, "transport">,
  target: Origin,
  piece: Piece,
  alive: Alive,
): Promise<Incoming> {
  const { transport } = session
  const { resource, offset, length } = piece
  const open = async (from: URL): Promise<Incoming> => {
    const answer = await transport.open(from, range)
    alive(retryAfter(answer))
    return answer
  }
  const range: Record<string, string> = isRanged(piece) ? { range: `bytes=${offset}-${offset + length - 1}` } : {}
  if (target.link !== null) {
    const url = target.link
    const answer = await open(url)
    if (!refusals.has(answer.statusCode)) return await expectBytes(url, answer, piece, linkProblem)
    await answer.dump() // the link has run out
    if (target.link === url) target.link = null
  }
  const first = new URL(`api/v1/blobs/sha256/${resource.digest}`, transport.registry)
  const answer = await open(first)
  if (answer.statusCode !== 307) return await expectBytes(first, answer, piece, problem)
  await answer.dump()
  const location = answer.headers["location"]
  const url = transport.stores.check(typeof location === "string" ? location : "")
  const opened = await expectBytes(url, await open(url), piece, linkProblem)
  target.link = url
  return opened
}

async function expectBytes(url: URL, answer: Incoming, piece: Piece, problemOf: typeof problem): Promise<Incoming> {
  const { statusCode, headers } = answer
  const ranged = isRanged(piece)
  const expected = rangeOf(piece)
  if (statusCode === (ranged ? 206 : 200) && (!ranged || headers["content-range"] === expected)) return answer
  try {
    requireSameSize(url, answer, piece)
    if (statusCode >= 400) {
      const said = problemOf(statusCode, await beginning(answer), `${piece.name} from ${url.origin}`)
      throw said.code === "NOT_FOUND" ? mismatch(`${piece.name} is signed, but ${url.origin} does not have it`) : said
    }
    const sent = ranged && statusCode === 206 ? `${String(headers["content-range"])} for ${expected}` : statusCode
    throw new ClientError("PROTOCOL", `${url.origin} answered ${sent} to a question for ${piece.name}`)
  } finally {
    answer.stop()
  }
}

/** A signed manifest lists these bytes: a store that has none, fewer or more of them has other bytes (DIGEST_MISMATCH). */
function requireSameSize(url: URL, { statusCode, headers }: Incoming, piece: Piece): void {
  const { resource } = piece
  if (!isRanged(piece)) return
  const total = /^bytes [0-9]{1,16}-[0-9]{1,16}\/([0-9]{1,16})$/.exec(String(headers["content-range"]))?.[1]
  const otherSize = statusCode === 206 && total !== undefined && Number(total) !== resource.size
  const isEmpty = statusCode === 200 && headers["content-length"] === "0"
  if (statusCode === 416 || otherSize || isEmpty)
    throw mismatch(`${resource.name}: ${url.origin} does not have the signed ${resource.size} bytes`)
}

/** A file in one piece is asked for whole, unless the beginning of it is there. */
function isRanged({ resource, offset }: Piece): boolean {
  return resource.parts !== undefined || offset > 0
}

function rangeOf({ resource, offset, length }: Piece): string {
  return `bytes ${offset}-${offset + length - 1}/${resource.size}`
}

/** Of an error page. */
async function beginning(answer: Incoming): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    await answer.read((chunk) => {
      chunks.push(chunk)
      if ((size += chunk.length) > 65_536) answer.stop()
    })
  } catch {
    // What came is what there is.
  }
  return Buffer.concat(chunks).subarray(0, 65_536)
}
