/**
 * Does a folder hold exactly what a foreign statement lists? Whatever was hashed there, each file is hashed with SHA-256 in
 * the same read, so that what was checked can be signed anew.
 */
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { createHash } from "node:crypto"
import { blake3 } from "@noble/hashes/blake3.js"
import { encodeHex, ManifestError, type OmsFile, type OmsHash } from "../index.ts"
import { type FolderOptions, hashFolder } from "./hash-folder.ts"
import { type FoundFile, listFiles } from "./list-folder.ts"
import type { SignedOms } from "./open-oms.ts"

declare const verified: unique symbol

/** A signed statement, and a folder that holds exactly what it lists. Made only by `verifyOmsFolder`. */
export interface VerifiedOms extends SignedOms {
  readonly [verified]: true
  /** SHA-256 in hex of each file, by its path; sorted. */
  readonly digests: ReadonlyMap<string, string>
  readonly bytes: number
}

/**
 * `root` is a folder or one file. `options.exclude` are paths that the user leaves out beside those the signer did.
 * Throws DIGEST_MISMATCH, FILE_UNREADABLE, FILE_CHANGED or TOO_LARGE.
 */
export async function verifyOmsFolder(
  root: string,
  oms: SignedOms,
  options: Omit<FolderOptions, "parts">,
): Promise<VerifiedOms> {
  const { files: listed, ignored, hash } = oms.statement
  const exclude = [...ignored, ...(options.exclude ?? [])]
  const found = await asDifference(listFiles(root, exclude))
  const pairs = pairUp(root, listed, found)
  const whole = hash === "sha256" && pairs.every(([file]) => file.pieces.length === 1 && file.pieces[0]?.end === null)
  const digests = whole
    ? await wholeDigests(root, pairs, { ...options, exclude })
    : await pieceDigests(hash, pairs, options)
  return { ...oms, digests, bytes: found.reduce((sum, { size }) => sum + size, 0) } as VerifiedOms
}

type Pair = readonly [OmsFile, FoundFile]

/** Exactly the listed files, or DIGEST_MISMATCH names the first that is missing, too much, or of another size. */
function pairUp(root: string, listed: readonly OmsFile[], found: readonly FoundFile[]): readonly Pair[] {
  const byName = new Map(found.map((file) => [file.name, file]))
  const pairs = listed.map((file): Pair => {
    const there = file.name === "." ? fileItself(root, found) : byName.get(file.name)
    if (there === undefined) throw differs(`${file.name} is missing`)
    if (file.size !== null && there.size !== file.size)
      throw differs(`${file.name}: signed ${file.size} bytes, found ${there.size}`)
    byName.delete(there.name)
    return [file, there]
  })
  for (const name of byName.keys()) throw differs(`${name} is there but was not signed`)
  return pairs
}

/** "." is a model that is a file itself; a folder with one file in it is another model, whatever that file is called. */
function fileItself(root: string, [file]: readonly FoundFile[]): FoundFile | undefined {
  return file?.path === root ? file : undefined
}

async function wholeDigests(
  root: string,
  pairs: readonly Pair[],
  options: FolderOptions,
): Promise<ReadonlyMap<string, string>> {
  const hashed = await asDifference(hashFolder(root, { ...options, parts: false }))
  const byName = new Map(hashed.map(({ name, digest }) => [name, digest]))
  if (byName.size !== pairs.length) throw differs("the folder changed while it was read")
  for (const [{ name, pieces }, there] of pairs) {
    const digest = byName.get(there.name)
    if (digest !== pieces[0]?.digest) throw differs(`${name}: signed sha256:${pieces[0]?.digest}, found ${digest}`)
  }
  return byName
}

async function pieceDigests(
  hash: OmsHash,
  pairs: readonly Pair[],
  { onStart, onBytes, signal }: FolderOptions,
): Promise<ReadonlyMap<string, string>> {
  onStart?.({ files: pairs.length, bytes: pairs.reduce((sum, [, { size }]) => sum + size, 0) })
  const digests = new Map<string, string>()
  for (const [listed, { name, path }] of pairs) {
    digests.set(
      name,
      await hashPieces(path, listed, hash, (count) => {
        signal?.throwIfAborted()
        onBytes?.(count)
      }),
    )
  }
  return digests
}

/** Reads once, compares each piece, and returns the SHA-256 of the whole. */
async function hashPieces(
  path: string,
  listed: OmsFile,
  hash: OmsHash,
  onBytes: (count: number) => void,
): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (cause: unknown) => {
      throw new ManifestError("FILE_UNREADABLE", `cannot read ${path}`, { cause })
    },
  )
  try {
    const before = await file.stat({ bigint: true })
    if (!before.isFile()) throw new ManifestError("FILE_UNREADABLE", `${path} is not a regular file`)
    const whole = createHash("sha256")
    let at = 0
    for (const piece of listed.pieces) {
      const end = piece.end ?? Number(before.size)
      const running = startHash(hash)
      at += await readInto(file, at, end, [whole, running], onBytes)
      const digest = encodeHex(running.digest())
      if (at !== end || digest !== piece.digest)
        throw differs(`${listed.name}: signed ${hash}:${piece.digest} from byte ${piece.start}, found ${digest}`)
    }
    const after = await file.stat({ bigint: true })
    if (at !== Number(after.size) || before.mtimeNs !== after.mtimeNs || before.ctimeNs !== after.ctimeNs)
      throw new ManifestError("FILE_CHANGED", `${path} changed while it was read`)
    return whole.digest("hex")
  } finally {
    await file.close()
  }
}

interface RunningHash {
  update(data: Uint8Array): unknown
  digest(): Uint8Array
}

function startHash(hash: OmsHash): RunningHash {
  return hash === "blake3" ? blake3.create() : createHash(hash === "blake2b" ? "blake2b512" : hash)
}

const block = 2 ** 20

/** Returns how many bytes there were from `start` to before `end`. */
async function readInto(
  file: FileHandle,
  start: number,
  end: number,
  hashes: readonly Pick<RunningHash, "update">[],
  onBytes: (count: number) => void,
): Promise<number> {
  const buffer = new Uint8Array(Math.min(block, Math.max(end - start, 1)))
  let at = start
  while (at < end) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - at), at)
    if (bytesRead === 0) break
    for (const hash of hashes) hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
    onBytes(bytesRead)
  }
  return at - start
}

/** A link, or a name that can't have been signed: the folder is not the one that was. */
async function asDifference<T>(listing: Promise<T>): Promise<T> {
  return await listing.catch((cause: unknown) => {
    throw cause instanceof ManifestError && cause.code === "MANIFEST_INVALID" ? differs(cause.message) : cause
  })
}

function differs(message: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", message, {
    hint: "this is not what was signed: get it again from the signer; files that belong elsewhere are left out with --exclude",
  })
}
