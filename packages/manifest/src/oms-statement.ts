/**
 * What another OpenSSF Model Signing tool signed: an in-toto Statement v1 that lists files, or pieces of files, with their
 * digests. Read strictly, by the forms that `model_signing` wrote from v0.2.0 on; our own manifests are read by
 * `statement.ts`.
 *
 *     predicateType                                       the list                     since
 *     https://model_signing/signature/v1.0                predicate.resources          0.3.0
 *     https://model_signing/Digests/v0.1                  subject, one for each file   0.2.0 only
 *     https://model_signing/ShardDigests/v0.1             subject, one for each piece  0.2.0 only
 *     https://model_signing/DigestOfDigests/v0.1          predicate.files              0.2.0 only
 *     https://model_signing/DigestOfShardDigests/v0.1     predicate.shards             0.2.0 only
 *
 * A piece is named `weights/w.bin:1000:2000`, from a byte to before another. A model of one file names it `.`.
 */
import { compareUtf8, decodeHex, sha256Hex } from "./encoding.ts"
import { invalid, ManifestError, tooLarge } from "./errors.ts"
import { type JsonValue, parseJson } from "./json.ts"
import { limits } from "./limits.ts"
import { hashSizes, type OmsHash, parseAlgorithm } from "./oms-hash.ts"
import { type OmsItem, readItems, requireDigest, rootOf } from "./oms-items.ts"
import { ignoredNames, parsePath, requireDistinctPaths } from "./paths.ts"
import { asArray, asExactly, asInteger, asObject, asString, fields } from "./shape.ts"

/** One file: pieces that follow one another from byte 0; only one, of unknown length, where whole files were hashed. */
export interface OmsFile {
  /** Relative, or "." where the model is one file. */
  readonly name: string
  /** Bytes; `null` where the list does not say. */
  readonly size: number | null
  readonly pieces: readonly OmsPiece[]
}
export interface OmsPiece {
  readonly start: number
  /** Not included; `null` is the end of the file. */
  readonly end: number | null
  /** Hex. */
  readonly digest: string
}

export interface OmsStatement {
  readonly predicateType: string
  /** SHA-256 of the payload, hex. */
  readonly digest: string
  readonly hash: OmsHash
  /** Sorted by name, at least one. */
  readonly files: readonly OmsFile[]
  /** Relative paths that the signer left out, beside the top-level names of Git. Sorted. */
  readonly ignored: readonly string[]
}

export const omsPayloadType = "application/vnd.in-toto+json"
const predicates = "https://model_signing/"

interface Listed {
  readonly items: readonly OmsItem[]
  /** Bytes of a piece; `null` where whole files were hashed. */
  readonly shardSize: number | null
  readonly hash: OmsHash
  readonly ignored: readonly string[]
}

/** Reads a payload whose signature was verified. Throws MANIFEST_INVALID or TOO_LARGE; USAGE for digests we don't compute. */
export function parseOmsStatement(payload: Uint8Array): OmsStatement {
  const statement = fields(parseJson(payload, "the statement"), "the statement", [
    "_type",
    "subject",
    "predicateType",
    "predicate",
  ])
  asExactly(statement._type, "_type", "https://in-toto.io/Statement/v1")
  const predicateType = asString(statement.predicateType, "predicateType")
  const { hash, shardSize, items, ignored } = readList(predicateType, statement.subject, statement.predicate)
  for (const { digest } of items) requireDigest(digest, hashSizes[hash])
  const files = filesOf(items, shardSize)
  requireNotIgnored(files, ignored)
  return { predicateType, digest: sha256Hex(payload), hash, files, ignored }
}

function readList(predicateType: string, subject: JsonValue, predicate: JsonValue): Listed {
  const kind = predicateType.startsWith(predicates) ? predicateType.slice(predicates.length) : ""
  if (kind === "signature/v1.0") return readSignature(subject, predicate)
  if (kind === "Digests/v0.1" || kind === "ShardDigests/v0.1") {
    fields(predicate, "predicate", [], ["unused"])
    const items = readSubjects(subject)
    return { ...sameAlgorithm(items), items, ignored: [] }
  }
  if (kind === "DigestOfDigests/v0.1" || kind === "DigestOfShardDigests/v0.1") {
    const member = kind === "DigestOfDigests/v0.1" ? "files" : "shards"
    const items = readItems(fields(predicate, "predicate", [member])[member], member)
    requireRoot(subject, items)
    return { ...sameAlgorithm(items), items, ignored: [] }
  }
  if (kind === "Digest/v0.1")
    throw new ManifestError("USAGE", "this bundle signs one digest over a whole folder, which is not computed here", {
      hint: "ask the signer to sign again with a newer version of the tool",
    })
  throw invalid(
    `the statement is a ${JSON.stringify(predicateType)}`,
    "known are those of OpenSSF Model Signing, v0.2 to v1.0",
  )
}

/** v1.0 asks its readers to pass over other members of the predicate; everything else is closed. */
function readSignature(subject: JsonValue, predicate: JsonValue): Listed {
  const { serialization, resources } = fields(
    predicate,
    "predicate",
    ["serialization", "resources"],
    Object.keys(asObject(predicate, "predicate")),
  )
  const own = fields(
    serialization,
    "serialization",
    ["method", "hash_type", "allow_symlinks"],
    ["ignore_paths", "shard_size"],
  )
  if (typeof own.allow_symlinks !== "boolean") throw invalid("allow_symlinks is not true or false")
  const method = asString(own.method, "method")
  if (method !== "files" && method !== "shards")
    throw invalid(`the method ${JSON.stringify(method)} is not known`, "known: files, shards")
  if ((method === "shards") !== (own.shard_size !== undefined))
    throw invalid("shard_size is there exactly for the method shards")
  const shardSize = own.shard_size === undefined ? null : asInteger(own.shard_size, "shard_size", 1)
  const items = readItems(resources, "resources")
  requireRoot(subject, items)
  const { hash } = requireAlgorithm(asString(own.hash_type, "hash_type"), shardSize)
  for (const { algorithm } of items)
    if (requireAlgorithm(algorithm, shardSize).hash !== hash)
      throw invalid("a resource was hashed otherwise than hash_type says")
  return { items, shardSize, hash, ignored: readIgnored(own.ignore_paths ?? []) }
}

function requireAlgorithm(text: string, shardSize: number | null): { hash: OmsHash } {
  const algorithm = parseAlgorithm(text)
  if (algorithm.shardSize !== null && algorithm.shardSize !== shardSize)
    throw invalid(`${JSON.stringify(text)} does not agree with the shard_size ${shardSize}`)
  return algorithm
}

/** v0.2: the first resource says it for all. */
function sameAlgorithm(items: readonly OmsItem[]): { hash: OmsHash; shardSize: number | null } {
  const [first = { algorithm: "" }] = items
  if (items.some(({ algorithm }) => algorithm !== first.algorithm))
    throw invalid("the files were not all hashed in the same way")
  return parseAlgorithm(first.algorithm)
}

/** v0.2: one subject for each file or piece. */
function readSubjects(value: JsonValue): OmsItem[] {
  const list = asArray(value, "subject")
  if (list.length > limits.omsItems) throw tooLarge(`the statement has ${list.length} subjects`, limits.omsItems)
  return list.map((item, at) => {
    const own = fields(item, `subject[${at}]`, ["name", "digest", "annotations"])
    const annotations = fields(own.annotations, "annotations", ["actual_hash_algorithm"])
    return {
      name: asString(own.name, "name"),
      algorithm: asString(annotations.actual_hash_algorithm, "actual_hash_algorithm"),
      digest: asString(fields(own.digest, "digest", ["sha256"]).sha256, "digest"),
    }
  })
}

/** The one subject is SHA-256 over the raw digests in listed order. */
function requireRoot(value: JsonValue, items: readonly OmsItem[]): void {
  const subjects = asArray(value, "subject")
  if (subjects.length !== 1) throw invalid(`the statement has ${subjects.length} subjects, expected 1`)
  const { name, digest } = fields(subjects[0], "subject[0]", ["name", "digest"], ["annotations"])
  asString(name, "subject[0].name")
  const { sha256 } = fields(digest, "subject[0].digest", ["sha256"], ["dirHash1"])
  if (sha256 !== rootOf(items.map((item) => decodeHex(item.digest, "a digest"))))
    throw invalid("the subject's digest is not that of the list")
}

function readIgnored(value: JsonValue): string[] {
  const list = asArray(value, "ignore_paths").map((path) => asString(path, "ignore_paths"))
  if (list.length > limits.excluded) throw tooLarge(`the statement ignores ${list.length} paths`, limits.excluded)
  const own = [...new Set(list.filter((path) => !ignoredNames.includes(path)))]
  return own.map((path) => parsePath(path)).toSorted(compareUtf8)
}

function filesOf(items: readonly OmsItem[], shardSize: number | null): OmsFile[] {
  const files =
    shardSize === null
      ? items.map(({ name, digest, size }) => ({
          name,
          size: size ?? null,
          pieces: [{ start: 0, end: null, digest }],
        }))
      : joined(items, shardSize)
  if (files.length === 0) throw invalid("the statement lists no files")
  if (files.length > limits.files) throw tooLarge(`the statement lists ${files.length} files`, limits.files)
  const sorted = files.toSorted((a, b) => compareUtf8(a.name, b.name))
  if (sorted.length === 1 && sorted[0]?.name === ".") return sorted
  for (const [at, { name }] of sorted.entries())
    if (name === sorted[at - 1]?.name) throw invalid(`the statement lists ${JSON.stringify(name)} twice`)
  requireDistinctPaths(sorted.map(({ name }) => name))
  return sorted
}

/** Pieces in listed order, each file's from its first byte on; all but its last of `shardSize` bytes. */
function joined(items: readonly OmsItem[], shardSize: number): OmsFile[] {
  const files = new Map<string, { start: number; end: number; digest: string }[]>()
  for (const { name: label, digest } of items) {
    const [, name = "", from = "", to = ""] = /^([^:]+):(0|[1-9]\d{0,15}):([1-9]\d{0,15})$/.exec(label) ?? []
    const piece = { start: Number(from), end: Number(to), digest }
    const pieces = files.get(name) ?? []
    const before = pieces.at(-1)
    const follows = piece.start === (before?.end ?? 0) && (before === undefined || before.end % shardSize === 0)
    const length = piece.end - piece.start
    if (name === "" || !Number.isSafeInteger(piece.end) || !follows || length < 1 || length > shardSize)
      throw invalid(`${JSON.stringify(label)} is not the next piece of a file`)
    pieces.push(piece)
    files.set(name, pieces)
  }
  return [...files].map(([name, pieces]) => ({ name, size: pieces.at(-1)?.end ?? 0, pieces }))
}

function requireNotIgnored(files: readonly OmsFile[], ignored: readonly string[]): void {
  const left = new Set(ignored)
  for (const { name } of files) {
    const segments = name.split("/")
    const path = segments.map((_, at) => segments.slice(0, at + 1).join("/")).find((beginning) => left.has(beginning))
    if (path !== undefined)
      throw invalid(`${JSON.stringify(name)} is listed although ${JSON.stringify(path)} is ignored`)
  }
}
