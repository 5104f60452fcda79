/**
 * The manifest of a model version: an OpenSSF Model Signing v1.0 statement (in-toto Statement v1) in RFC 8785 bytes.
 * Those bytes are what is signed, stored and hashed; the manifest digest is their SHA-256.
 *
 *     {"_type":"https://in-toto.io/Statement/v1","predicate":{"resources":[{"algorithm":"sha256","digest":"…",
 *     "name":"model.json","size":1843}],"serialization":{…}},"predicateType":"https://model_signing/signature/v1.0",
 *     "subject":[{"annotations":{"weighlock":{"model":"acme/mnist","version":"1.2.0",…}},"digest":{…},"name":"mnist"}]}
 *
 * docs/format.md has a whole one.
 */
import { sha256 } from "@noble/hashes/sha2.js"
import { decodeBase64, decodeHex, encodeBase64, encodeHex, encodeUtf8, isSha256Hex, sha256Hex } from "./encoding.ts"
import { invalid, ManifestError } from "./errors.ts"
import { canonicalJson, type JsonObject, type JsonValue, parseCanonical } from "./json.ts"
import { limits } from "./limits.ts"
import { parseModelName, parseOrigin, parseVersion } from "./names.ts"
import { ignoredNames, parsePath, requireDistinctPaths } from "./paths.ts"
import { asArray, asExactly, asInteger, asObject, asString, fields } from "./shape.ts"
import { parseTime } from "./time.ts"

export const statementPayloadType = "application/vnd.in-toto+json"
const statementType = "https://in-toto.io/Statement/v1"
const predicateType = "https://model_signing/signature/v1.0"

export const modelFormats = [
  "tfjs-layers",
  "tfjs-graph",
  "keras-h5",
  "keras-v3",
  "safetensors",
  "onnx",
  "saved-model",
  "other",
] as const
export type ModelFormat = (typeof modelFormats)[number]

/** One file of the model. `digest` is SHA-256 in hex over all `size` bytes; parts never replace it. */
export interface Resource {
  readonly name: string
  readonly digest: string
  readonly size: number
  /** There when `size` exceeds 8 MiB: the digests (hex) of consecutive pieces of `parts.size` bytes, the last one shorter. */
  readonly parts?: { readonly size: number; readonly digests: readonly string[] }
}

/** What the publisher says; the rest of a manifest follows from it. */
export interface Draft {
  readonly registry: string
  readonly model: string
  readonly version: string
  readonly createdAt: string
  readonly format: ModelFormat
  readonly entrypoint?: string
  readonly metadata: Readonly<Record<string, string>>
  /** Relative paths left out beside the OMS defaults. */
  readonly exclude: readonly string[]
  readonly resources: readonly Resource[]
}

export interface Manifest extends Draft {
  /** SHA-256 of the payload, hex: the manifest digest. */
  readonly digest: string
  readonly payload: Uint8Array
}

/** Bytes per part for a file of `size` bytes: the smallest 8 MiB × 2^k that gives at most 8,192 parts. */
export function partSizeFor(size: number): number {
  let part: number = limits.part
  while (Math.ceil(size / part) > limits.partCount) part *= 2
  return part
}

/** Bytes of part `index` (from 0) of a file; a file without parts is its own part 0. */
export function partLength(file: { readonly size: number }, index: number): number {
  const part = file.size > limits.part ? partSizeFor(file.size) : file.size
  return Math.min(part, file.size - index * part)
}

/** The canonical bytes to sign. Refuses a draft that `parseStatement` would refuse. */
export function makeStatement(draft: Draft): Uint8Array<ArrayBuffer> {
  const payload = canonicalJson(statementOf(draft))
  parseStatement(payload)
  return payload
}

function statementOf(draft: Draft): JsonObject {
  const { exclude, resources, metadata, entrypoint, ...annotations } = draft
  return {
    _type: statementType,
    subject: [
      {
        name: draft.model.split("/")[1] ?? "",
        digest: { sha256: omsRoot(resources), dirHash1: dirHash1(resources) },
        annotations: {
          weighlock: {
            schema: 1,
            ...annotations,
            ...(entrypoint === undefined ? {} : { entrypoint }),
            metadata: { ...metadata },
          },
        },
      },
    ],
    predicateType,
    predicate: {
      serialization: {
        method: "files",
        hash_type: "sha256",
        allow_symlinks: false,
        ignore_paths: [...ignoredNames, ...exclude],
      },
      resources: resources.map(resourceJson),
    },
  }
}

function resourceJson({ name, digest, size, parts }: Resource): JsonObject {
  const packed = parts && {
    size: parts.size,
    digests: encodeBase64(concat(parts.digests.map((part) => decodeHex(part, "part digest")))),
  }
  return { name, algorithm: "sha256", digest, size, ...(packed === undefined ? {} : { parts: packed }) }
}

/** Reads a payload whose signatures were verified. Throws MANIFEST_INVALID or TOO_LARGE. */
export function parseStatement(payload: Uint8Array): Manifest {
  if (payload.length > limits.payload) throw tooLarge(`the manifest has ${payload.length} bytes`, limits.payload)
  const statement = fields(parseCanonical(payload, "the manifest"), "the manifest", [
    "_type",
    "subject",
    "predicateType",
    "predicate",
  ])
  asExactly(statement._type, "_type", statementType)
  asExactly(statement.predicateType, "predicateType", predicateType)
  const predicate = fields(statement.predicate, "predicate", ["serialization", "resources"])
  const resources = parseResources(predicate.resources)
  const exclude = parseSerialization(predicate.serialization)
  requireNotIgnored(resources, exclude)
  const subjects = asArray(statement.subject, "subject")
  if (subjects.length !== 1) throw invalid(`the manifest has ${subjects.length} subjects, expected 1`)
  const annotations = parseSubject(subjects[0], resources)
  return { digest: sha256Hex(payload), payload, exclude, resources, ...annotations }
}

function parseSubject(
  value: JsonValue | undefined,
  resources: readonly Resource[],
): Omit<Draft, "exclude" | "resources"> {
  const subject = fields(value, "subject[0]", ["name", "digest", "annotations"])
  const digest = fields(subject.digest, "subject[0].digest", ["sha256", "dirHash1"])
  if (digest.sha256 !== omsRoot(resources)) throw invalid("subject digest sha256 does not match the resources")
  if (digest.dirHash1 !== dirHash1(resources)) throw invalid("subject digest dirHash1 does not match the resources")
  const annotations = parseAnnotations(fields(subject.annotations, "annotations", ["weighlock"]).weighlock)
  const { entrypoint, model } = annotations
  if (entrypoint !== undefined && !resources.some(({ name }) => name === entrypoint)) {
    throw invalid(`the entrypoint ${JSON.stringify(entrypoint)} is not among the files`)
  }
  asExactly(subject.name, "subject[0].name", model.split("/")[1] ?? "")
  return annotations
}

function parseAnnotations(value: JsonValue): Omit<Draft, "exclude" | "resources"> {
  const required = ["schema", "registry", "model", "version", "createdAt", "format", "metadata"] as const
  const { entrypoint, ...own } = fields(value, "annotations.weighlock", required, ["entrypoint"])
  asExactly(own.schema, "schema", 1)
  const createdAt = asString(own.createdAt, "createdAt")
  parseTime(createdAt, "createdAt")
  const format = parseFormat(asString(own.format, "format"))
  if (entrypoint === undefined && format !== "other") throw invalid(`the format ${format} needs an entrypoint`)
  return {
    registry: parseOrigin(asString(own.registry, "registry")),
    model: parseModelName(asString(own.model, "model")),
    version: parseVersion(asString(own.version, "version")),
    createdAt,
    format,
    ...(entrypoint === undefined ? {} : { entrypoint: parsePath(asString(entrypoint, "entrypoint")) }),
    metadata: parseMetadata(own.metadata),
  }
}

export function parseFormat(text: string): ModelFormat {
  const format = modelFormats.find((known) => known === text)
  if (format === undefined) throw invalid(`unknown format ${JSON.stringify(text)}`, `known: ${modelFormats.join(", ")}`)
  return format
}

function parseMetadata(value: JsonValue): Record<string, string> {
  const metadata = Object.create(null) as Record<string, string>
  let bytes = 0
  for (const [key, member] of Object.entries(asObject(value, "metadata"))) {
    const text = asString(member, `metadata ${JSON.stringify(key)}`)
    if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(key)) throw invalid(`${JSON.stringify(key)} is not a metadata key`)
    if (
      text.normalize("NFC") !== text ||
      /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text)
    ) {
      throw invalid(`metadata ${key} is not NFC text without control characters`)
    }
    bytes += key.length + encodeUtf8(text).length
    metadata[key] = text
  }
  if (bytes > limits.metadata) throw tooLarge(`the metadata has ${bytes} bytes`, limits.metadata)
  return metadata
}

/** Returns the paths excluded beside the defaults. */
function parseSerialization(value: JsonValue): string[] {
  const serialization = fields(value, "serialization", ["method", "hash_type", "allow_symlinks", "ignore_paths"])
  asExactly(serialization.method, "method", "files")
  asExactly(serialization.hash_type, "hash_type", "sha256")
  asExactly(serialization.allow_symlinks, "allow_symlinks", false)
  const ignored = asArray(serialization.ignore_paths, "ignore_paths").map((path) => asString(path, "ignore_paths"))
  if (ignoredNames.some((name, at) => ignored[at] !== name))
    throw invalid("ignore_paths does not begin with the defaults")
  const exclude = ignored.slice(ignoredNames.length)
  requireDistinctPaths(exclude)
  return exclude
}

function requireNotIgnored(resources: readonly Resource[], exclude: readonly string[]): void {
  for (const { name } of resources) {
    const by = exclude.find((path) => name === path || name.startsWith(`${path}/`))
    if (by !== undefined) throw invalid(`${JSON.stringify(name)} is listed although ${JSON.stringify(by)} is excluded`)
  }
}

function parseResources(value: JsonValue): Resource[] {
  const list = asArray(value, "resources")
  if (list.length === 0) throw invalid("the manifest lists no files")
  if (list.length > limits.files) throw tooLarge(`the manifest lists ${list.length} files`, limits.files)
  const resources = list.map(parseResource)
  requireDistinctPaths(resources.map(({ name }) => name))
  return resources
}

function parseResource(value: JsonValue, at: number): Resource {
  const own = fields(value, `resources[${at}]`, ["name", "algorithm", "digest", "size"], ["parts"])
  const name = asString(own.name, "name")
  asExactly(own.algorithm, "algorithm", "sha256")
  const digest = asString(own.digest, "digest")
  if (!isSha256Hex(digest)) throw invalid(`the digest of ${JSON.stringify(name)} is not 64 lower-case hex digits`)
  const size = asInteger(own.size, "size")
  if (size > limits.part !== (own.parts !== undefined)) {
    throw invalid(`${JSON.stringify(name)}: parts are there exactly for files of more than ${limits.part} bytes`)
  }
  return { name, digest, size, ...(own.parts === undefined ? {} : { parts: parseParts(own.parts, size) }) }
}

/** Reads `{"size","digests"}` for a file of `size` bytes (also in upload requests). */
export function parseParts(value: JsonValue, size: number): { size: number; digests: string[] } {
  const parts = fields(value, "parts", ["size", "digests"])
  const partSize = asExactly(parts.size, "parts.size", partSizeFor(size))
  const packed = decodeBase64(asString(parts.digests, "parts.digests"), "parts.digests")
  const count = Math.ceil(size / partSize)
  if (count > limits.partCount || packed.length !== 32 * count)
    throw invalid(`parts.digests is not ${count} digests of 32 bytes`)
  return {
    size: partSize,
    digests: Array.from({ length: count }, (_, at) => encodeHex(packed.subarray(32 * at, 32 * at + 32))),
  }
}

/** OMS root: SHA-256 of the concatenated raw file digests in listed order. It does not bind names; `dirHash1` does. */
function omsRoot(resources: readonly Resource[]): string {
  return encodeHex(sha256(concat(resources.map(({ digest }) => decodeHex(digest, "digest")))))
}

/** in-toto dirHash1: SHA-256 over the lines `<hex>  <path>\n`, sorted by path. */
function dirHash1(resources: readonly Resource[]): string {
  return sha256Hex(encodeUtf8(resources.map(({ digest, name }) => `${digest}  ${name}\n`).join("")))
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
  }
  return all
}

function tooLarge(what: string, cap: number): ManifestError {
  return new ManifestError("TOO_LARGE", `${what}, more than the ${cap} allowed`)
}
