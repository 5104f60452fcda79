/**
 * The log as one reads it, from a registry or from any web server that holds an export of it: tiles and payloads, and
 * from a registry proofs ready made. What is read proves nothing yet.
 */
import { promisify } from "node:util"
import { gunzip } from "node:zlib"
import { isSha256Hex, limits } from "@weighlock/manifest"
import { cutTile, type Hash, type LogSource, maximumEntryBundle, parseTilePath, tilePath } from "@weighlock/tlog"
import { ClientError, codeOf } from "./errors.ts"
import { bytesOf, countOf, hashesOf, malformed, parseMembers } from "./json-answer.ts"
import type { Transport } from "./transport.ts"

/** A log's files; `payload` are those bytes that entries only name by digest. Absent things are NOT_FOUND. */
export interface LogFiles extends LogSource {
  payload(sha256: string): Promise<Uint8Array>
}

export interface EntryProof {
  readonly index: number
  readonly size: number
  /** The leaf. */
  readonly entry: Uint8Array
  readonly hashes: readonly Hash[]
}

/** Nobody answered, or nobody would answer us: that says nothing about the log. */
export function isNoAnswer(error: unknown): boolean {
  const code = codeOf(error)
  return code === "UNAVAILABLE" || code === "FORBIDDEN" || code === "UNAUTHENTICATED"
}

/** What a file at that path can hold at most. */
export function limitOf(path: string): number {
  return path.startsWith("tile/entries/") ? maximumEntryBundle : 256 * 32
}

export function payloadPath(sha256: string): string {
  if (!isSha256Hex(sha256)) throw malformed("a payload's name")
  return `payload/sha256/${sha256}`
}

/** Over HTTP. */
export class LogReader implements LogFiles {
  readonly #transport: Transport
  readonly #prefix: string
  /** `prefix` is where the log's files are below the transport's URL. */
  constructor(transport: Transport, prefix: "log/" | "" = "log/") {
    this.#transport = transport
    this.#prefix = prefix
  }

  async checkpoint(): Promise<Uint8Array> {
    return await this.#get(`${this.#prefix}checkpoint`, "the log's checkpoint", limits.checkpoint)
  }

  async read(path: string): Promise<Uint8Array> {
    return await readTile(path, (at) => this.#get(`${this.#prefix}${at}`, at, limitOf(at)))
  }

  async payload(sha256: string): Promise<Uint8Array> {
    const path = payloadPath(sha256)
    return await this.#get(`${this.#prefix}${path}`, path, limits.payload)
  }

  /** Hashes that should show that the tree of `to` entries begins with the one of `from`. */
  async consistency(from: number, to: number): Promise<Hash[]> {
    const what = `the proof that the log grew from ${from} to ${to} entries`
    const answer = parseMembers(await this.#get(`api/v1/log/consistency?from=${from}&to=${to}`, what, 65_536), what)
    if (countOf(answer, "from", what) !== from || countOf(answer, "to", what) !== to) throw malformed(what)
    return hashesOf(answer, "hashes", what)
  }

  async proof(index: number, size: number): Promise<EntryProof> {
    const what = `entry ${index} of the log`
    const answer = parseMembers(await this.#get(`api/v1/log/proof/${index}?size=${size}`, what, 65_536), what)
    if (countOf(answer, "index", what) !== index || countOf(answer, "size", what) !== size) throw malformed(what)
    return { index, size, entry: bytesOf(answer, "entry", what), hashes: hashesOf(answer, "hashes", what) }
  }

  async #get(path: string, what: string, limit: number): Promise<Uint8Array> {
    const { body, encoding } = await this.#transport
      .call(path, { what, method: "GET", limit, mayBeEncoded: what.startsWith("tile/entries/") })
      .catch((error: unknown) => {
        this.#transport.signal?.throwIfAborted()
        throw aboutFile(error)
      })
    return encoding === undefined || encoding === "identity" ? body : await decoded(body, encoding, what, limit)
  }
}

/** What can be said about a file of the log. */
const ofFiles: ReadonlySet<string> = new Set([
  "FORBIDDEN",
  "NOT_FOUND",
  "PROTOCOL",
  "STORE_REFUSED",
  "TOO_LARGE",
  "UNAUTHENTICATED",
  "UNAVAILABLE",
])

/** A registry that answers 431 or USAGE for a file must not end a watch, or an audit, as if our own arguments were wrong. */
function aboutFile(error: unknown): unknown {
  if (!(error instanceof ClientError) || ofFiles.has(error.code)) return error
  return new ClientError("PROTOCOL", error.message, { cause: error })
}

const unzip = promisify(gunzip)

/** A mirror may send entry bundles compressed without being asked (c2sp.org/tlog-tiles, "Log entries"); nothing else. */
async function decoded(body: Uint8Array, encoding: string, what: string, limit: number): Promise<Uint8Array> {
  if (encoding !== "gzip") throw malformed(`${what}: content-encoding ${encoding}`)
  try {
    return await unzip(body, { maxOutputLength: limit })
  } catch (cause) {
    throw malformed(`${what}: gzip`, cause)
  }
}

/**
 * A partial tile may be gone once the full one is there (c2sp.org/tlog-tiles, "Partial Tiles"): then its bytes are the
 * beginning of that.
 */
export async function readTile(path: string, get: (path: string) => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await get(path)
  } catch (error) {
    const tile = parseTilePath(path)
    if (codeOf(error) !== "NOT_FOUND" || tile.width === 256) throw error
    const full = await get(tilePath({ ...tile, width: 256 })).catch(() => {
      throw error
    })
    return cutTile(tile, full)
  }
}
