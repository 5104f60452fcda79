/**
 * The script of docs/format.md, taken from the page and run with openssl, jq and sha256sum. It shares no code with
 * `verify`, so every case is judged by both, and both must say the same.
 */
import assert from "node:assert/strict"
import { execFile, spawnSync } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { isDeepStrictEqual, promisify } from "node:util"
import {
  canonicalJson,
  encodeBase64,
  encodeUtf8,
  exportSigstore,
  formatBundle,
  formatEnvelope,
  importSigstore,
  isSigstoreBundle,
  type JsonObject,
  type Leaf,
  makeStatement,
  ManifestError,
  openPublished,
  openTrustChain,
  parseBundle,
  parseEnvelope,
  parseJson,
  parseLeaf,
  parseReference,
  parseStatement,
  type SignedManifest,
  type Signer,
  signEnvelope,
  statementPayloadType,
  type TrustChain,
  trustRootPayloadType,
  verify,
} from "@weighlock/manifest"
import { hashFolder, signerFor } from "@weighlock/manifest/node"
import { emptyCheckpoint } from "@weighlock/tlog"
import { makeExample, testKey, writeAll } from "../support/make-example.ts"
import { blockOf, readPage } from "../support/markdown.ts"
import { noteKey, TinyLog } from "../support/tiny-log.ts"

const run = promisify(execFile)
const page = readPage("format.md")
const example = await makeExample()
const [alice, bob, stranger] = ["alice", "bob", "mallory"].map((label) => testKey(label).signer) as [
  Signer,
  Signer,
  Signer,
]
const reference = "acme/iris@1.2.0"

const missing = missingTools()
const skip = missing === null ? false : `cannot run the script here: ${missing}`
if (skip !== false && process.env["REQUIRE_OPENSSL"] === "1") throw new Error(skip)

function missingTools(): string | null {
  for (const tool of ["bash", "jq", "sha256sum", "basenc", "split"])
    if (spawnSync(tool, ["--version"]).status !== 0) return `${tool} is missing`
  const version = spawnSync("openssl", ["version"], { encoding: "utf8" }).stdout
  return /^OpenSSL (?:[3-9]|\d\d)/.test(version ?? "") ? null : "openssl 3.0 or newer is missing"
}

/** A folder with the example in it, changed by `edit`, and what is asked of it. */
interface Case {
  readonly name: string
  readonly good?: true
  readonly signed?: string
  readonly asked?: string
  readonly pin?: string
  readonly edit?: Edit
  /** What the script says. */
  readonly because?: string
}

type Edit = (folder: string) => Promise<void> | void

// The signed documents of the example as plain values, to be changed and signed again.
interface RoleJson {
  threshold: number | string
  keys: string[]
}
interface KeyJson {
  type: string
  public: string
  compromised?: boolean
  retiredAt?: object
}
interface NamespaceJson {
  publish: RoleJson
  promote: RoleJson
}
interface RootJson {
  version: number
  previous?: string
  expires: string
  keys: Record<string, KeyJson>
  roles: { root: RoleJson }
  namespaces: [NamespaceJson, NamespaceJson] | [NamespaceJson]
}
interface AboutJson {
  schema: number
  registry: string
  model: string
}
interface ResourceJson {
  name: string
  parts?: { digests: string }
}
interface StatementJson {
  subject: [{ name: string; digest: { sha256: string; dirHash1: string }; annotations: { weighlock: AboutJson } }]
  predicate: { serialization: { ignore_paths: string[] }; resources: [ResourceJson, ...ResourceJson[]] }
}
interface EnvelopeJson {
  payload: string
  payloadType: string
  signatures: { keyid: string; sig: string }[]
}
interface BundleJson {
  envelope: EnvelopeJson
  entry?: string
  proof?: string
}

function payloadOf(name: string): unknown {
  return JSON.parse(Buffer.from(parseEnvelope(example.get(name) ?? new Uint8Array()).payload).toString())
}

function canonical(value: unknown): Uint8Array {
  return canonicalJson(value as JsonObject)
}

async function signedBytes(type: string, payload: Uint8Array, signers: readonly Signer[]): Promise<Uint8Array> {
  return formatEnvelope(await signEnvelope({ payloadType: type, payload }, signers))
}

function trust(change: (root: RootJson) => void, signers = [alice, bob]): Edit {
  return async (folder) => {
    const root = payloadOf("trust.json") as RootJson
    change(root)
    const payload = canonical(root)
    await writeFile(join(folder, "trust.json"), await signedBytes(trustRootPayloadType, payload, signers))
  }
}

function manifest(change: (statement: StatementJson, about: AboutJson) => void, signers = [alice]): Edit {
  return async (folder) => {
    const statement = payloadOf("envelope.json") as StatementJson
    change(statement, statement.subject[0].annotations.weighlock)
    await signStatement(folder, canonical(statement), signers)
  }
}

async function signStatement(folder: string, payload: Uint8Array, signers: readonly Signer[]): Promise<void> {
  await writeFile(join(folder, "envelope.json"), await signedBytes(statementPayloadType, payload, signers))
}

function rewrite(name: string, change: (bytes: Buffer) => Uint8Array): Edit {
  return async (folder) => {
    const path = join(folder, name)
    await writeFile(path, change(await readFile(path)))
  }
}

function envelopeJson(name: string, change: (envelope: EnvelopeJson) => void): Edit {
  return rewrite(name, (bytes) => {
    const envelope = JSON.parse(bytes.toString()) as EnvelopeJson
    change(envelope)
    return Buffer.from(JSON.stringify(envelope))
  })
}

function flipBit(text: string, bit: number): string {
  const bytes = Buffer.from(text, "base64")
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return bytes.toString("base64")
}

function flipSignature({ signatures }: EnvelopeJson, which: number, bit: number): void {
  const signature = signatures[which]
  if (signature !== undefined) signature.sig = flipBit(signature.sig, bit)
}

function keyOf({ keys }: RootJson, signer: Signer): KeyJson {
  return (keys[signer.publicKey.keyid] ??= { type: "ed25519", public: encodeBase64(signer.publicKey.bytes) })
}

/** The namespace of the example, with another publish role. */
function onlyNamespace({ namespaces }: RootJson, publish: RoleJson): [NamespaceJson] {
  return [{ ...(namespaces[1] ?? namespaces[0]), publish }]
}

const fraud = ({ subject }: StatementJson, about: AboutJson): void => {
  about.model = "acme/fraud-iris"
  subject[0].name = "fraud-iris"
}

async function withP256(folder: string): Promise<void> {
  const signer = signerFor(generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey)
  const { keyid, bytes } = signer.publicKey
  await trust((root) => {
    root.keys[keyid] = { type: "ecdsa-p256", public: encodeBase64(bytes) }
    root.namespaces = onlyNamespace(root, { threshold: 1, keys: [keyid] })
  })(folder)
  await manifest(() => undefined, [signer])(folder)
}

async function withParts(folder: string, change: (parts: { digests: string }) => void): Promise<void> {
  const path = join(folder, "model", "zeros.bin")
  await writeFile(path, "")
  await truncate(path, 20_971_520)
  const signed = parseEnvelope(example.get("envelope.json") ?? new Uint8Array())
  const { digest: _digest, payload: _payload, ...draft } = parseStatement(signed.payload)
  const resources = await hashFolder(join(folder, "model"))
  const statement = JSON.parse(Buffer.from(makeStatement({ ...draft, resources })).toString()) as StatementJson
  const { parts } = statement.predicate.resources.at(-1) ?? {}
  if (parts !== undefined) change(parts)
  await signStatement(folder, canonical(statement), [alice])
}

const good: Case[] = [
  { name: "the envelope", good: true },
  { name: "the bundle", signed: "bundle.json", good: true },
  { name: "the Sigstore bundle", signed: "model.sig", good: true },
  { name: "by manifest digest", asked: `acme/iris@sha256:${blockOf(page, "digest", "envelope.json")}`, good: true },
  { name: "with the pin", pin: blockOf(page, "digest", "trust.json"), good: true },
  {
    name: "two signers where two are needed",
    asked: "acme/fraud-iris@1.2.0",
    edit: manifest(fraud, [alice, bob]),
    good: true,
  },
  { name: "a stranger's signature beside a good one", edit: manifest(() => undefined, [alice, stranger]), good: true },
  { name: "a P-256 key", edit: withP256, good: true },
  { name: "a file with parts", edit: (folder) => withParts(folder, () => undefined), good: true },
  {
    name: "an ignored folder and an excluded file",
    good: true,
    edit: async (folder) => {
      await mkdir(join(folder, "model", ".git"))
      await writeFile(join(folder, "model", ".git", "HEAD"), "ref")
      await writeFile(join(folder, "model", "notes.txt"), "not part of it")
      await manifest((statement) => statement.predicate.serialization.ignore_paths.push("notes.txt"))(folder)
    },
  },
]

const bad: Case[] = [
  {
    name: "a flipped bit in a file",
    because: "a file has other bytes",
    edit: rewrite("model/group1-shard1of1.bin", (bytes) => {
      bytes[7] = (bytes[7] ?? 0) ^ 1
      return bytes
    }),
  },
  {
    name: "a longer file",
    because: "exactly the listed files",
    edit: rewrite("model/model.json", (bytes) => Buffer.concat([bytes, Buffer.from(" ")])),
  },
  {
    name: "a missing file",
    because: "exactly the listed files",
    edit: (folder) => rm(join(folder, "model", "classes"), { recursive: true }),
  },
  {
    name: "an unlisted file",
    because: "exactly the listed files",
    edit: (folder) => writeFile(join(folder, "model", "extra"), ""),
  },
  {
    name: "a symbolic link",
    because: "a link or a special file",
    edit: (folder) => symlink("model.json", join(folder, "model", "link")),
  },
  {
    name: "swapped files",
    because: "exactly the listed files",
    edit: async (folder) => {
      await writeFile(join(folder, "model", "model.json"), example.get("model/classes/en.txt") ?? "")
      await writeFile(join(folder, "model", "classes/en.txt"), example.get("model/model.json") ?? "")
    },
  },
  { name: "another version", because: "another registry, model or version", asked: "acme/iris@1.2.1" },
  { name: "another model", because: "another registry, model or version", asked: "acme/rose@1.2.0" },
  {
    name: "another digest",
    because: "another registry, model or version",
    asked: `acme/iris@sha256:${"0".repeat(64)}`,
  },
  { name: "another pin", because: "pinned is", pin: "0".repeat(64) },
  { name: "a stranger's signature only", because: "manifest: too few", edit: manifest(() => undefined, [stranger]) },
  {
    name: "one signer where two are needed",
    because: "manifest: too few",
    asked: "acme/fraud-iris@1.2.0",
    edit: manifest(fraud),
  },
  {
    name: "one signer twice where two are needed",
    because: "one key's are there twice",
    asked: "acme/fraud-iris@1.2.0",
    edit: async (folder) => {
      await manifest(fraud)(folder)
      await envelopeJson("envelope.json", ({ signatures }) => signatures.push(...signatures))(folder)
    },
  },
  {
    name: "a failing signature beside enough good ones",
    edit: async (folder) => {
      await manifest(() => undefined, [alice, bob])(folder)
      await envelopeJson("envelope.json", (envelope) => flipSignature(envelope, 1, 100))(folder)
    },
  },
  {
    name: "a namespace that nobody may publish to",
    because: "manifest: too few",
    asked: "evil/iris@1.2.0",
    edit: manifest((_, about) => (about.model = "evil/iris")),
  },
  {
    name: "another registry",
    because: "another registry, model or version",
    edit: manifest((_, about) => (about.registry = "models.evil.example")),
  },
  {
    name: "a wrong OMS root",
    because: "subject's digests",
    edit: manifest(({ subject }) => (subject[0].digest.sha256 = "0".repeat(64))),
  },
  {
    name: "a wrong dirHash1",
    because: "subject's digests",
    edit: manifest(({ subject }) => (subject[0].digest.dirHash1 = "0".repeat(64))),
  },
  {
    name: "files out of order",
    because: "not sorted",
    edit: manifest(({ predicate }) => predicate.resources.sort((a, b) => (a.name < b.name ? 1 : -1))),
  },
  {
    name: "a path that leaves the folder",
    because: "not a plain relative path",
    edit: manifest(({ predicate }) => (predicate.resources[0].name = "../trust.json")),
  },
  {
    name: "a payload that is not canonical",
    because: "not canonical JSON",
    edit: async (folder) => {
      await signStatement(folder, encodeUtf8(JSON.stringify(payloadOf("envelope.json"), null, 1)), [alice])
    },
  },
  {
    name: "two documents in one payload",
    because: "not canonical JSON",
    edit: async (folder) => {
      const text = JSON.stringify(payloadOf("envelope.json"))
      await signStatement(folder, encodeUtf8(text + text), [alice])
    },
  },
  {
    name: "a trust root's signature on a manifest",
    edit: async (folder) => {
      const payload = canonical(payloadOf("envelope.json"))
      await writeFile(join(folder, "envelope.json"), await signedBytes(trustRootPayloadType, payload, [alice]))
      await envelopeJson("envelope.json", (envelope) => (envelope.payloadType = statementPayloadType))(folder)
    },
  },
  {
    name: "no signature",
    because: "signatures are missing",
    edit: envelopeJson("envelope.json", (envelope) => (envelope.signatures = [])),
  },
  {
    name: "a changed payload",
    edit: envelopeJson("envelope.json", (envelope) => (envelope.payload = flipBit(envelope.payload, 900))),
  },
  {
    name: "wrong part digests",
    because: "digests of its parts",
    edit: (folder) => withParts(folder, (parts) => (parts.digests = flipBit(parts.digests, 300))),
  },
  { name: "a trust root signed by one of two", because: "root: too few", edit: trust(() => undefined, [alice]) },
  { name: "a trust root signed by strangers", because: "root: too few", edit: trust(() => undefined, [stranger]) },
  {
    name: "an expired trust root",
    because: "has expired",
    edit: trust((root) => (root.expires = "2026-01-01T00:00:00Z")),
  },
  {
    name: "a trust root of version 2",
    because: "not version 1",
    edit: trust((root) => Object.assign(root, { version: 2, previous: "0".repeat(64) })),
  },
  {
    name: "a compromised key",
    because: "manifest: too few",
    edit: trust(
      (root) => {
        keyOf(root, stranger)
        root.roles.root = { threshold: 2, keys: [bob.publicKey.keyid, stranger.publicKey.keyid].toSorted() }
        root.namespaces = onlyNamespace(root, { threshold: 1, keys: [bob.publicKey.keyid] })
        keyOf(root, alice).compromised = true
      },
      [bob, stranger],
    ),
  },
  {
    name: "a retired key",
    because: "manifest: too few",
    edit: trust((root) => {
      keyOf(root, alice).retiredAt = { size: 5, root: encodeBase64(new Uint8Array(32)) }
    }),
  },
  {
    name: "a key listed under another's id",
    because: "has another keyid",
    edit: trust(
      (root) => {
        keyOf(root, bob).public = encodeBase64(stranger.publicKey.bytes)
      },
      [alice, bob],
    ),
  },
  {
    name: "a threshold that is code",
    because: "root: too few",
    edit: trust((root) => (root.roles.root.threshold = "x[$(touch /tmp/weighlock-was-here)]")),
  },
  {
    name: "a threshold of zero",
    because: "root: too few",
    edit: trust((root) => (root.roles.root.threshold = 0), [stranger]),
  },
]

for (const bit of [0, 255, 256, 511]) {
  bad.push({
    name: `bit ${bit} of the signature`,
    edit: envelopeJson("envelope.json", (envelope) => flipSignature(envelope, 0, bit)),
  })
}

function bundleJson(change: (bundle: BundleJson) => void): Edit {
  return rewrite("bundle.json", (bytes) => {
    const bundle = JSON.parse(bytes.toString()) as BundleJson
    change(bundle)
    return Buffer.from(JSON.stringify(bundle))
  })
}

/** The example's envelope, really logged by `key` as `changes` say, among `others` entries. */
function logged(changes: Partial<Leaf>, key = logKey, others = 4, at = 0): Edit {
  return async (folder) => {
    const trustChain = openTrustChain([await readFile(join(folder, "trust.json"))], { by: "file" })
    const envelope = parseEnvelope(await readFile(join(folder, "envelope.json")))
    const log = new TinyLog(trustChain, logKey)
    for (let before = 0; before < at; before++) log.append(encodeUtf8(`${before}`), encodeUtf8(""))
    const index = log.publish(envelope, changes)
    for (let after = 0; after < others; after++) log.append(encodeUtf8(`${after}`), encodeUtf8(""))
    await writeFile(join(folder, "bundle.json"), formatBundle(log.signWith(key).bundle(envelope, index)))
  }
}

const origin = "models.acme.example/log"
const logKey = noteKey(origin, testKey("log").key)
const bundle = parseBundle(example.get("bundle.json") ?? new Uint8Array())
const other: Leaf = { ...parseLeaf(bundle.entry ?? new Uint8Array()), subject: "1.2.1" }
const changedProof = (from: RegExp | string, to: string | ((found: string) => string)): Edit =>
  bundleJson((each) => (each.proof = (each.proof ?? "").replace(from, typeof to === "string" ? () => to : to)))
const line = /^.{44}$/m // the first hash

const signed = "bundle.json"
for (const [others, at] of [
  [0, 0],
  [1, 0],
  [0, 6],
  [30, 11],
]) {
  const name = `logged after ${at} and before ${others} more`
  good.push({ name, signed, edit: logged({}, logKey, others, at), good: true })
}
const inLog: readonly (readonly [name: string, because: string, edit: Edit])[] = [
  ["no entry", "it is not logged", bundleJson((each) => delete each.entry)],
  ["no proof", "it is not logged", bundleJson((each) => delete each.proof)],
  ["a proof that is none", "not signed by the log", bundleJson((each) => (each.proof = "x"))],
  ["another index", "does not lead to the root", changedProof("index 2", "index 3")],
  ["an index past the end", "no such publish", changedProof("index 2", "index 5")],
  ["the genesis's index", "no such publish", changedProof("index 2", "index 0")],
  ["a hash less", "does not lead to the root|too long", changedProof(/^.{44}\n/m, "")],
  ["a hash more", "too long", changedProof(line, (hash) => `${hash}\n${hash}\n${hash}`)],
  ["a bit of a hash", "does not lead to the root", changedProof(line, (hash) => flipBit(hash, 9))],
  ["another size", "does not match", changedProof("\n5\n", "\n6\n")],
  ["another origin", "does not match", changedProof(`\n${origin}\n`, "\nmodels.evil.example/log\n")],
  [
    "a bit of the entry",
    "does not lead to the root",
    bundleJson((each) => (each.entry = flipBit(each.entry ?? "", 99))),
  ],
  ["no signature of the log", "not signed by the log", logged({}, noteKey(origin))],
  ["another log's signature", "not signed by the log", logged({}, noteKey("models.evil.example/log", logKey.key))],
  ["a bit of the log's signature", "does not match", changedProof(/\S+\n$/, (sig) => `${flipBit(sig, 300)}\n`)],
  ["a genuine proof of another version", "of something else", logged(other)],
  [
    "a genuine proof of another payload",
    "of something else",
    logged({ payload: { ...other.payload, sha256: "0".repeat(64) } }),
  ],
  [
    "a genuine proof of other signatures",
    "of something else",
    logged({ signatures: [{ keyid: bob.publicKey.keyid, sig: new Uint8Array(64) }] }),
  ],
  ["a genuine proof of another operation", "of something else", logged({ op: "alias" })],
  ["a bit of the signature", "does not match", bundleJson(({ envelope }) => flipSignature(envelope, 0, 77))],
]
for (const [name, because, edit] of inLog) bad.push({ name: `in the log: ${name}`, because, signed, edit })

async function theirVerdict(folder: string, { signed, asked, pin }: Case): Promise<{ ok: boolean; said: string }> {
  const pinned = pin === undefined ? [] : [`sha256:${pin}`]
  const args = ["verify.sh", "trust.json", signed ?? "envelope.json", "model", asked ?? reference, ...pinned]
  try {
    const { stdout } = await run("bash", args, { cwd: folder, timeout: 600_000 })
    return { ok: true, said: stdout.trim() }
  } catch (error) {
    const { code, stderr } = error as { code: unknown; stderr: string }
    assert.equal(code, 1, `exit ${String(code)}: ${stderr}`)
    assert.match(stderr, /^refused: /m)
    return { ok: false, said: stderr.trim() }
  }
}

async function ourVerdict(folder: string, { signed, asked, pin }: Case): Promise<boolean> {
  try {
    const pinned = pin === undefined ? ({ by: "file" } as const) : ({ by: "digest", digest: pin } as const)
    const trustChain = openTrustChain([await readFile(join(folder, "trust.json"))], pinned)
    const manifest = openSigned(await readFile(join(folder, signed ?? "envelope.json")), asked ?? reference, trustChain)
    return isDeepStrictEqual(await hashFolder(join(folder, "model"), { exclude: manifest.exclude }), manifest.resources)
  } catch (error) {
    assert.match(String((error as { code?: unknown }).code), /^[A-Z_]+$/, String(error))
    return false
  }
}

/** As `weighlock verify` does: a bundle must be logged, an envelope or a Sigstore bundle cannot be. */
function openSigned(bytes: Uint8Array, asked: string, trustChain: TrustChain): SignedManifest {
  const value = parseJson(bytes) as JsonObject
  if (value["mediaType"] !== undefined && !isSigstoreBundle(value)) {
    const seen = emptyCheckpoint(trustChain.current.log.origin)
    const request = { reference: parseReference(asked), seen, consistency: [], maxStaleness: null, now: new Date() }
    return verify({ ...request, bundle: parseBundle(bytes), trustChain })
  }
  const envelope = isSigstoreBundle(value) ? importSigstore(bytes) : parseEnvelope(bytes)
  const manifest = openPublished(envelope, trustChain, new Date())
  const { model, version, digest } = manifest
  if (asked === `${model}@${version}` || asked === `${model}@sha256:${digest}`) return manifest
  throw new ManifestError("SUBJECT_MISMATCH", asked)
}

async function inFolder(t: TestContext, edit: Edit | undefined): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-script-"))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }))
  await writeAll(folder, example)
  await writeFile(join(folder, "verify.sh"), `${blockOf(page, "script", "verify.sh")}\n`)
  await edit?.(folder)
  return folder
}

test("the session on the page is what the script prints", { skip }, async (t) => {
  const folder = await inFolder(t, undefined)
  const [command = "", ...shown] = blockOf(page, "session", "verify.sh").split("\n")
  const { stdout } = await run("bash", ["--norc", "-c", command.replace(/^\$ /, "")], { cwd: folder })
  assert.equal(stdout.trimEnd(), shown.join("\n"))
})

test("a wrong call is a usage error", { skip }, async (t) => {
  const folder = await inFolder(t, undefined)
  await assert.rejects(run("bash", ["verify.sh", "trust.json"], { cwd: folder }), { code: 2 })
})

for (const each of [...good, ...bad]) {
  test(`${each.good === true ? "accepted" : "refused"} by both: ${each.name}`, { skip }, async (t) => {
    const folder = await inFolder(t, each.edit)
    const expected = each.good === true
    const { ok, said } = await theirVerdict(folder, each)
    assert.equal(ok, expected, said)
    if (!expected) assert.match(said, new RegExp(`^refused: .*${each.because ?? "does not match$"}`, "m"))
    assert.equal(await ourVerdict(folder, each), expected)
  })
}

test("accepted by both: each signature of two, exported", { skip }, async (t) => {
  const folder = await inFolder(
    t,
    manifest(() => undefined, [alice, bob]),
  )
  const bundles = exportSigstore(parseEnvelope(await readFile(join(folder, "envelope.json"))))
  assert.equal(bundles.length, 2)
  for (const bundle of bundles) {
    await writeFile(join(folder, "model.sig"), bundle)
    const { ok, said } = await theirVerdict(folder, { name: "", signed: "model.sig" })
    assert.ok(ok, said)
  }
  assert.ok(formatBundle(parseBundle(example.get("bundle.json") ?? new Uint8Array())).length > 0)
})
