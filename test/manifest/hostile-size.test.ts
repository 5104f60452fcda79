/**
 * Documents made to be slow: within every limit on bytes, and some of them signed by a key that may sign something. What
 * they cost is bounded here in processor time, generously: without care it grows with the square of their size.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  canonicalJson,
  importSigstore,
  type JsonObject,
  type JsonValue,
  limits,
  makeStatement,
  ManifestError,
  parseCanonical,
  parseEnvelope,
  parseJson,
  parseModelName,
  parsePath,
  parseStatement,
  type Resource,
} from "@weighlock/manifest"
import { draft, file } from "../support/trust.ts"

type Any = any // a tree to break at any place
const seconds = 20 // of CPU time; what is guarded against takes minutes and more

function inBounds<T>(run: () => T): T {
  const before = process.cpuUsage()
  try {
    return run()
  } finally {
    const { user, system } = process.cpuUsage(before)
    assert.ok(user + system < seconds * 1e6, `${Math.round((user + system) / 1000)} ms`)
  }
}

function statement(resources: readonly Resource[], edit: (tree: Any) => void = () => {}): Uint8Array {
  const payload = makeStatement(draft({ format: "other", entrypoint: resources[0]?.name ?? "", resources }))
  const tree: Any = JSON.parse(Buffer.from(payload).toString())
  edit(tree)
  return canonicalJson(tree as JsonValue)
}
const excluding =
  (paths: readonly string[]) =>
  (tree: Any): void => {
    tree.predicate.serialization.ignore_paths.push(...paths)
  }
const numbers = Array.from({ length: limits.files }, (_, at) => String(at).padStart(5, "0"))
const deep = "a/".repeat(250)

test("5,000 files in 250 folders each, of their own and in common", () => {
  const some = numbers.slice(0, 5000)
  for (const nameOf of [(at: string) => `${at}/${deep}f`, (at: string) => `${deep}${at}`]) {
    const payload = statement(some.map((at) => file(nameOf(at))))
    assert.equal(inBounds(() => parseStatement(payload)).resources.length, some.length)
  }
})

test("10,000 files and 10,000 excluded paths that differ from them at their ends", () => {
  const head = "a".repeat(200)
  const payload = statement(
    numbers.map((at) => file(`${head}/${at}f`)),
    excluding(numbers.map((at) => `${head}/${at}x`)),
  )
  assert.equal(inBounds(() => parseStatement(payload)).exclude.length, limits.excluded)
})

test("more excluded paths than files may be listed", () => {
  const payload = statement([file("f")], excluding([...numbers, "x"]))
  assert.throws(() => inBounds(() => parseStatement(payload)), { code: "TOO_LARGE" })
})

test("what lies below an excluded path is found, whatever stands between in the order of bytes", () => {
  const names = ["a", "a-b", "b-c/x", "b/c-d", "b/c.d", "b/c/x", "b/c0"].map((name) => file(name))
  for (const clear of [[], ["a/b"], ["a!", "a-b/c", "b-c/x/y", "b/c!", "b/c/x/y", "b/d"]]) {
    assert.deepEqual(parseStatement(statement(names, excluding(clear))).exclude, clear)
  }
  for (const hit of [
    ["a"],
    ["b"],
    ["b/c"],
    ["b/c/x"],
    ["a-b"],
    ["a!", "a-", "b-", "b-c", "c"],
    ["b/c!", "b/c-", "b/c/x"],
  ]) {
    assert.throws(() => parseStatement(statement(names, excluding(hit))), { code: "MANIFEST_INVALID" }, hit.join())
  }
})

// Marks of a lower class after marks of a higher one: each has to be moved before all of those.
const marks = `a${"\u0301".repeat(400_000)}${"\u0316".repeat(400_000)}`

test("combining marks by the hundred thousand: a path, an entrypoint, a file, an exclude, metadata", () => {
  const refused = (run: () => unknown): void =>
    assert.throws(
      () => inBounds(run),
      ({ code, message }: ManifestError) => ["MANIFEST_INVALID", "TOO_LARGE"].includes(code) && message.length < 2000,
    )
  const annotations = (tree: Any): Any => tree.subject[0].annotations.weighlock
  const one = [file("f")]
  refused(() => parsePath(marks))
  refused(() => parseStatement(statement(one, (tree) => (tree.predicate.resources[0].name = marks))))
  refused(() => parseStatement(statement(one, excluding([marks]))))
  refused(() => parseStatement(statement(one, (tree) => (annotations(tree).entrypoint = marks))))
  refused(() => parseStatement(statement(one, (tree) => (annotations(tree).metadata.k = marks))))
})

test("metadata of 16 KiB is read, of one byte more it is not", () => {
  const withMetadata = (metadata: JsonObject): Uint8Array =>
    statement([file("f")], (tree) => (tree.subject[0].annotations.weighlock.metadata = metadata))
  const half = "x".repeat(limits.metadata / 2 - 1)
  assert.equal(parseStatement(withMetadata({ a: half, b: half })).metadata["b"], half)
  assert.throws(() => parseStatement(withMetadata({ a: half, b: `${half}x` })), { code: "TOO_LARGE" })
})

test("a refusal does not repeat the megabytes that it refuses", () => {
  const long = "\u{1f600}".repeat(1_000_000)
  for (const parse of [() => parsePath(long), () => parseModelName(`a${long}`)]) {
    assert.throws(parse, ({ message }: ManifestError) => message.length < 2000 && message.isWellFormed())
  }
})

test("JSON of more values than any document of ours has is not parsed", () => {
  const most = 1_000_000
  const list = (unit: string, count: number): Uint8Array => Buffer.from(`[${Array(count).fill(unit).join(",")}]`)
  for (const [unit, each] of [
    ["0", 1],
    ['"[,"', 1],
    ["{}", 2],
    ['["\\","]', 2],
  ] as const) {
    const count = most / each
    assert.ok(Array.isArray(inBounds(() => parseJson(list(unit, count)))), unit)
    assert.throws(() => inBounds(() => parseJson(list(unit, count + 1))), { code: "MANIFEST_INVALID" }, unit)
    assert.throws(() => inBounds(() => parseCanonical(list(unit, 8 * count))), { code: "MANIFEST_INVALID" }, unit)
  }
})

test("JSON: commas and brackets in a string do not count, and a string without an end ends", () => {
  const many = 1_500_000
  for (const text of ["\\\\".repeat(many), '\\"'.repeat(many), ",[".repeat(many)]) {
    assert.equal(typeof inBounds(() => parseJson(Buffer.from(`"${text}"`))), "string")
    for (const bad of [`"${text}`, `${text}"`, `"${text}\\"`]) {
      assert.throws(() => inBounds(() => parseJson(Buffer.from(bad))), { code: "MANIFEST_INVALID" })
    }
  }
})

test("signatures are counted before one is read", () => {
  const signatures = Array(limits.signatures + 1).fill(null) as null[]
  const envelope = { payload: "", payloadType: "x", signatures }
  assert.throws(() => parseEnvelope(canonicalJson(envelope)), { code: "TOO_LARGE" })
  const sigstore = {
    mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
    verificationMaterial: { publicKey: { hint: "0".repeat(64) }, tlogEntries: [] },
    dsseEnvelope: envelope,
  }
  assert.throws(() => importSigstore(canonicalJson(sigstore)), /17 signatures, expected 1/)
})
