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
import { encodeUtf8, sha256Hex } from "./encoding.ts"
import { invalid, tooLarge } from "./errors.ts"
import { canonicalJson, type JsonObject, type JsonValue, parseCanonical } from "./json.ts"
import { limits } from "./limits.ts"
import { parseModelName, parseOrigin, parseVersion } from "./names.ts"
import { findBelow, ignoredNames, parsePath, requireDistinctPaths } from "./paths.ts"
import { dirHash1, omsRoot, parseResources, type Resource, resourceJson } from "./resource.ts"
import { asArray, asExactly, asObject, asString, fields } from "./shape.ts"
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
    // Before it is normalised: that takes time that grows with the square of the number of combining marks.
    bytes += key.length + encodeUtf8(text).length
    if (bytes > limits.metadata) throw tooLarge(`the metadata has at least ${bytes} bytes`, limits.metadata)
    if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(key)) throw invalid(`${JSON.stringify(key)} is not a metadata key`)
    if (
      text.normalize("NFC") !== text ||
      /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text)
    ) {
      throw invalid(`metadata ${key} is not NFC text without control characters`)
    }
    metadata[key] = text
  }
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
  if (exclude.length > limits.excluded) throw tooLarge(`the manifest excludes ${exclude.length} paths`, limits.excluded)
  requireDistinctPaths(exclude)
  return exclude
}

function requireNotIgnored(resources: readonly Resource[], exclude: readonly string[]): void {
  const names = resources.map(({ name }) => name)
  const found = findBelow(names, exclude)
  if (found === null) return
  throw invalid(`${JSON.stringify(found.path)} is listed although ${JSON.stringify(found.root)} is excluded`)
}
