/**
 * The files of a model as its manifest lists them, and the two digests over the list.
 *
 *     {"algorithm":"sha256","digest":"<hex>","name":"model.json","size":1843}
 *     {"algorithm":"sha256","digest":"<hex>","name":"weights/big.bin","size":20971520,
 *      "parts":{"digests":"<base64 of the 32-byte part digests>","size":8388608}}
 */
import { decodeBase64, decodeHex, encodeBase64, encodeHex, encodeUtf8, isSha256Hex, sha256Hex } from "./encoding.ts"
import { invalid, tooLarge } from "./errors.ts"
import type { JsonObject, JsonValue } from "./json.ts"
import { limits } from "./limits.ts"
import { requireDistinctPaths } from "./paths.ts"
import { asArray, asExactly, asInteger, asString, fields } from "./shape.ts"

/** One file of the model. `digest` is SHA-256 in hex over all `size` bytes; parts never replace it. */
export interface Resource {
  readonly name: string
  readonly digest: string
  readonly size: number
  /** There when `size` exceeds 8 MiB: the digests (hex) of consecutive pieces of `parts.size` bytes, the last one shorter. */
  readonly parts?: { readonly size: number; readonly digests: readonly string[] }
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

export function resourceJson({ name, digest, size, parts }: Resource): JsonObject {
  const packed = parts && {
    size: parts.size,
    digests: encodeBase64(concat(parts.digests.map((part) => decodeHex(part, "part digest")))),
  }
  return { name, algorithm: "sha256", digest, size, ...(packed === undefined ? {} : { parts: packed }) }
}

/** Sorted, distinct, at most 10,000. Throws MANIFEST_INVALID or TOO_LARGE. */
export function parseResources(value: JsonValue): Resource[] {
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
export function omsRoot(resources: readonly Resource[]): string {
  return sha256Hex(concat(resources.map(({ digest }) => decodeHex(digest, "digest"))))
}

/** in-toto dirHash1: SHA-256 over the lines `<hex>  <path>\n`, sorted by path. */
export function dirHash1(resources: readonly Resource[]): string {
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
