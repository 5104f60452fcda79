/** The statement: every rule of the format, and what happens when one field is gone, renamed or another. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { test } from "node:test"
import {
  canonicalJson,
  type Draft,
  encodeBase64,
  type JsonObject,
  type JsonValue,
  limits,
  makeStatement,
  parseStatement,
  partLength,
  partSizeFor,
  sha256Hex,
} from "@weighlock/manifest"
import { draft, file, utf8 } from "../support/trust.ts"

const code = { code: "MANIFEST_INVALID" }
const mib = 2 ** 20
const big = { name: "weights/big.bin", digest: "b".repeat(64), size: 20 * mib }
const parts = { size: 8 * mib, digests: ["1", "2", "3"].map((digit) => digit.repeat(64)) }
const whole = draft({ exclude: ["notes", "old/model.json"], resources: [...draft().resources, { ...big, parts }] })
const payload = makeStatement(whole)

type Any = any // a tree to break at any place
const tree = (): Any => JSON.parse(Buffer.from(payload).toString())
const parse = (value: unknown): unknown => parseStatement(canonicalJson(value as JsonValue))

test("statement: what was drafted is what is parsed, and its digest is that of the bytes", () => {
  const { digest, payload: bytes, ...rest } = parseStatement(payload)
  assert.equal(digest, createHash("sha256").update(payload).digest("hex"))
  assert.equal(bytes, payload)
  assert.deepEqual({ ...rest, metadata: { ...rest.metadata } }, whole)
})
test("statement: OMS root and dirHash1 as the specifications say", () => {
  const { digest } = tree().subject[0]
  const raw = whole.resources.map((resource) => Buffer.from(resource.digest, "hex"))
  const lines = whole.resources.map((resource) => `${resource.digest}  ${resource.name}\n`)
  assert.equal(digest.sha256, sha256Hex(Buffer.concat(raw)))
  assert.equal(digest.dirHash1, sha256Hex(utf8(lines.join(""))))
})

/** Every object in the tree, with the way to it. */
function* objects(value: Any, path: string): Generator<[string, Any]> {
  if (value === null || typeof value !== "object") return
  if (!Array.isArray(value)) yield [path, value]
  for (const [key, member] of Object.entries(value)) yield* objects(member, `${path}.${key}`)
}
const at = (root: Any, path: string): Any => [...objects(root, "$")].find(([where]) => where === path)?.[1]

const optional = new Set(["$.subject.0.annotations.weighlock.metadata"])
for (const [path, object] of objects(tree(), "$")) {
  for (const key of Object.keys(object as JsonObject)) {
    if (optional.has(path)) continue
    test(`statement refused: ${path} without ${key}`, () => {
      const broken = tree()
      delete at(broken, path)[key]
      assert.throws(() => parse(broken), code)
    })
    test(`statement refused: ${path}.${key} in upper case, null, list, object, number, another text`, () => {
      const renamed = tree()
      const own = at(renamed, path)
      own[key.toUpperCase() === key ? `${key}x` : key.toUpperCase()] = own[key]
      delete own[key]
      assert.throws(() => parse(renamed), code)
      for (const other of [null, [], {}, -1, 1.5, true, "", "oth er"]) {
        const changed = tree()
        if (key === "metadata" && JSON.stringify(other) === "{}") continue
        if (JSON.stringify(at(changed, path)[key]) === JSON.stringify(other)) continue
        at(changed, path)[key] = other
        assert.throws(() => parse(changed), code, `${key} = ${JSON.stringify(other)}`)
      }
    })
  }
  if (optional.has(path)) continue
  for (const extra of ["x", "__proto__", "constructor", ""]) {
    test(`statement refused: ${path} with ${JSON.stringify(extra)}`, () => {
      const broken = tree()
      Object.defineProperty(at(broken, path), extra, { value: {}, enumerable: true, configurable: true })
      assert.throws(() => parse(broken), code)
    })
  }
}

const change = (edit: (value: Any) => void): JsonValue => {
  const value = tree()
  edit(value)
  return value as JsonValue
}
const note = (value: Any): Any => value.subject[0].annotations.weighlock
const list = (value: Any): Any => value.predicate.resources
const serial = (value: Any): Any => value.predicate.serialization

/** Recomputes both digests, so that only the rule under test is broken. */
function rehash(value: Any): void {
  const raw = list(value).map((own: Any) => Buffer.from(String(own.digest), "hex"))
  const lines = list(value).map((own: Any) => `${own.digest}  ${own.name}\n`)
  if (value.subject.length > 0)
    value.subject[0].digest = { sha256: sha256Hex(Buffer.concat(raw)), dirHash1: sha256Hex(utf8(lines.join(""))) }
}

const edits: Record<string, (value: Any) => void> = {
  "two subjects": (v) => v.subject.push(v.subject[0]),
  "no subject": (v) => (v.subject = []),
  "subject named otherwise": (v) => (v.subject[0].name = "acme/mnist"),
  "Statement v0.1": (v) => (v._type = "https://in-toto.io/Statement/v0.1"),
  "another predicate": (v) => (v.predicateType = "https://slsa.dev/provenance/v1"),
  "schema 2": (v) => (note(v).schema = 2),
  "schema as text": (v) => (note(v).schema = "1"),
  "registry in upper case": (v) => (note(v).registry = "Models.acme.example"),
  "model of another name": (v) => (note(v).model = "acme/other"),
  "model without namespace": (v) => (note(v).model = "mnist"),
  "version with build metadata": (v) => (note(v).version = "1.2.0+1"),
  "createdAt with milliseconds": (v) => (note(v).createdAt = "2026-11-23T12:00:00.000Z"),
  "unknown format": (v) => (note(v).format = "pickle"),
  "format toString": (v) => (note(v).format = "toString"),
  "no entrypoint but a format": (v) => delete note(v).entrypoint,
  "entrypoint not among the files": (v) => (note(v).entrypoint = "absent.json"),
  "entrypoint is a directory": (v) => (note(v).entrypoint = "weights"),
  "entrypoint traverses": (v) => (note(v).entrypoint = "../model.json"),
  "entrypoint null": (v) => (note(v).entrypoint = null),
  "metadata value is a number": (v) => (note(v).metadata.n = 1),
  "metadata key in upper case": (v) => (note(v).metadata["License"] = "x"),
  "metadata key of 65": (v) => (note(v).metadata["a".repeat(65)] = "x"),
  "metadata key empty": (v) => (note(v).metadata[""] = "x"),
  "metadata with a newline": (v) => (note(v).metadata.a = "x\ny"),
  "metadata with a bidi control": (v) => (note(v).metadata.a = "x\u202ey"),
  "metadata not NFC": (v) => (note(v).metadata.a = "e\u0301"),
  "metadata with a terminal escape": (v) => (note(v).metadata.a = "\u001b[31m"),
  "metadata key __proto__": (v) =>
    Object.defineProperty(note(v).metadata, "__proto__", { value: "x", enumerable: true }),
  "symlinks allowed": (v) => (serial(v).allow_symlinks = true),
  "another hash type": (v) => (serial(v).hash_type = "blake2b"),
  "sharded serialization": (v) => (serial(v).method = "shards"),
  "defaults missing": (v) => (serial(v).ignore_paths = []),
  "defaults in another order": (v) => (serial(v).ignore_paths = [".gitattributes", ".git", ".github", ".gitignore"]),
  "defaults twice": (v) => serial(v).ignore_paths.push(".git"),
  "excludes not sorted": (v) => serial(v).ignore_paths.push("a"),
  "exclude traverses": (v) => (serial(v).ignore_paths[4] = "../x"),
  "exclude is a pattern of nothing": (v) => (serial(v).ignore_paths[4] = ""),
  "a listed file is excluded": (v) =>
    (serial(v).ignore_paths = [".git", ".gitattributes", ".github", ".gitignore", "model.json"]),
  "a listed file's folder is excluded": (v) =>
    (serial(v).ignore_paths = [".git", ".gitattributes", ".github", ".gitignore", "weights"]),
  "no files": (v) => (v.predicate.resources = []),
  "files not sorted": (v) => list(v).reverse(),
  "a file twice": (v) => list(v).splice(1, 0, list(v)[0]),
  "case twins": (v) => list(v).unshift({ ...list(v)[0], name: "Group1-shard1of1.bin" }),
  "file and directory": (v) => list(v).splice(2, 0, { ...list(v)[0], name: "weights" }),
  "name traverses": (v) => (list(v)[0].name = "../x"),
  "name absolute": (v) => (list(v)[0].name = "/x"),
  "name below .git": (v) => (list(v)[0].name = ".git/x"),
  "digest in upper case": (v) => (list(v)[0].digest = "A".repeat(64)),
  "digest cut short": (v) => (list(v)[0].digest = "a".repeat(62)),
  "digest with prefix": (v) => (list(v)[0].digest = `sha256:${"a".repeat(64)}`),
  "algorithm sha1": (v) => (list(v)[0].algorithm = "sha1"),
  "size negative": (v) => (list(v)[0].size = -1),
  "size as text": (v) => (list(v)[0].size = "20"),
  "parts on a small file": (v) => (list(v)[0].parts = { size: 8 * mib, digests: encodeBase64(new Uint8Array(32)) }),
  "no parts on a large file": (v) => delete list(v)[2].parts,
  "parts of exactly 8 MiB": (v) => (list(v)[2].size = 8 * mib),
  "parts of another size": (v) => (list(v)[2].parts.size = 4 * mib),
  "parts of twice the size": (v) => (list(v)[2].parts.size = 16 * mib),
  "one part digest too many": (v) => (list(v)[2].parts.digests = encodeBase64(new Uint8Array(32 * 4))),
  "one part digest too few": (v) => (list(v)[2].parts.digests = encodeBase64(new Uint8Array(32 * 2))),
  "half a part digest": (v) => (list(v)[2].parts.digests = encodeBase64(new Uint8Array(80))),
  "part digests in hex": (v) => (list(v)[2].parts.digests = "ab".repeat(96)),
  "part digests in base64url": (v) => (list(v)[2].parts.digests = "_".repeat(128)),
  "part digests as a list": (v) => (list(v)[2].parts.digests = parts.digests),
}
for (const [why, edit] of Object.entries(edits)) {
  test(`statement refused: ${why}`, () => {
    const value = change((own) => {
      edit(own)
      rehash(own)
    })
    assert.throws(() => parse(value), code)
  })
}
test("statement refused: OMS root or dirHash1 of other files, swapped digests, swapped names", () => {
  assert.throws(() => parse(change((v) => (v.subject[0].digest.sha256 = "0".repeat(64)))), code)
  assert.throws(() => parse(change((v) => (v.subject[0].digest.dirHash1 = "0".repeat(64)))), code)
  const swapped = change((v) => ([list(v)[0].digest, list(v)[1].digest] = [list(v)[1].digest, list(v)[0].digest]))
  assert.throws(() => parse(swapped), code)
  const renamed = change((v) => (list(v)[0].name = "group1-shard1of2.bin")) // the OMS root alone would not see it
  assert.throws(() => parse(renamed), code)
})
test("statement refused: not canonical, spaces, trailing newline, byte order mark, duplicate key", () => {
  const text = Buffer.from(payload).toString()
  for (const other of [
    ` ${text}`,
    `${text}\n`,
    `\ufeff${text}`,
    text.replace("{", '{"_type":"x",'),
    JSON.stringify(tree(), null, 1),
  ]) {
    assert.throws(() => parseStatement(utf8(other)), code)
  }
})

const drafts: Record<string, Partial<Draft>> = {
  "format other without entrypoint": { format: "other" },
  "entrypoint in a folder": { entrypoint: "a/model.json", resources: [file("a/model.json")] },
  "empty file": { resources: [file("model.json", "")] },
  "metadata with accents and digits": { metadata: { "a.b_c-1": "Größe 日本", x: "" } },
  "exactly 8 MiB without parts": { resources: [{ ...file("model.json"), size: 8 * mib }] },
  "8 MiB and one byte in two parts": {
    resources: [{ ...file("model.json"), size: 8 * mib + 1, parts: { ...parts, digests: parts.digests.slice(1) } }],
  },
}
for (const [why, changes] of Object.entries(drafts)) {
  test(`statement: ${why}`, () => {
    parseStatement(makeStatement(changes.format === "other" ? plain(changes) : draft(changes)))
  })
}

/** Of the format that needs no entrypoint. */
function plain(changes: Partial<Draft>): Draft {
  const { entrypoint, ...rest } = draft({ ...changes, format: "other" })
  assert.ok(entrypoint)
  return rest
}

test("limits: 10,000 files are listed, 10,001 are TOO_LARGE", () => {
  const resources = Array.from({ length: 10_001 }, (_, i) => file(`f${String(i).padStart(5, "0")}`))
  const many = makeStatement(plain({ resources: resources.slice(0, 10_000) }))
  assert.equal(parseStatement(many).resources.length, 10_000)
  assert.throws(() => makeStatement(plain({ resources })), { code: "TOO_LARGE" })
})
test("limits: 16 KiB of metadata, not one byte more", () => {
  const value = (length: number): Draft => draft({ metadata: { a: "x".repeat(length) } })
  makeStatement(value(limits.metadata - 1))
  assert.throws(() => makeStatement(value(limits.metadata)), { code: "TOO_LARGE" })
})
test("limits: a payload of more than 16 MiB is TOO_LARGE before it is looked at", () => {
  assert.throws(() => parseStatement(new Uint8Array(limits.payload + 1)), { code: "TOO_LARGE" })
})
test("limits: a manifest of 13 MiB is read (many part digests)", () => {
  const size = limits.partCount * 8 * mib
  const digests = Array.from({ length: limits.partCount }, () => "c".repeat(64))
  const resources = Array.from({ length: 40 }, (_, i) => ({
    ...file(`f${String(i).padStart(2, "0")}`),
    size,
    parts: { size: 8 * mib, digests },
  }))
  const bytes = makeStatement(plain({ resources }))
  assert.ok(bytes.length > 13 * mib)
})

test("parts: the smallest 8 MiB × 2^k with at most 8,192 parts", () => {
  assert.equal(partSizeFor(8 * mib + 1), 8 * mib)
  assert.equal(partSizeFor(8192 * 8 * mib), 8 * mib)
  assert.equal(partSizeFor(8192 * 8 * mib + 1), 16 * mib)
  assert.equal(partSizeFor(Number.MAX_SAFE_INTEGER), 2 ** 40)
})
test("parts: lengths add up to the file", () => {
  for (const size of [0, 1, 8 * mib, 8 * mib + 1, 20 * mib, 24 * mib]) {
    const count = size > limits.part ? Math.ceil(size / partSizeFor(size)) : 1
    const lengths = Array.from({ length: count }, (_, index) => partLength({ size }, index))
    assert.equal(
      lengths.reduce((sum, length) => sum + length, 0),
      size,
    )
    assert.ok(lengths.every((length) => length > 0 || size === 0))
  }
})
