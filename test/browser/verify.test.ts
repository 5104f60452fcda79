/**
 * `verify` in a real browser: the compiled modules, loaded by headless Chromium without a bundler, judge the example of
 * docs/format.md and attacks on it, and say what Node says.
 */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { readFileSync, realpathSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import { join } from "node:path"
import { before, test } from "node:test"
import {
  canonicalJson,
  decodeUtf8,
  encodeBase64,
  type Envelope,
  enrolKey,
  formatBundle,
  formatEnvelope,
  type JsonObject,
  type Leaf,
  openTrustChain,
  parseBundle,
  parseEnvelope,
  parseJson,
  preAuthEncoding,
  sha256Hex,
  type Signer,
  signEnvelope,
  statementPayloadType,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { signerFor } from "@weighlock/manifest/node"
import { makeExample, testKey } from "../support/make-example.ts"
import { eighth, mixedOrderKey, signatureWith } from "../support/mixed-order.ts"
import { noteKey, TinyLog } from "../support/tiny-log.ts"
import { repository } from "../support/markdown.ts"
import { findChromium, runPage } from "./chromium.ts"
import { type Case, type Report, report } from "./judge.ts"

const chromium = findChromium()
const skip = chromium === null ? "no chromium here: apt-get install chromium, or set CHROMIUM" : false
if (skip !== false && process.env["REQUIRE_BROWSER"] === "1") throw new Error(skip)

const example = await makeExample()
const [trust, bundle] = ["trust.json", "bundle.json"].map((name) =>
  decodeUtf8(example.get(name) ?? new Uint8Array(), name),
) as [string, string]
const parsed = parseBundle(Buffer.from(bundle))
const { envelope } = parsed
const digest = sha256Hex(envelope.payload)
const reference = "acme/iris@1.2.0"
const signers = ["alice", "bob"].map((label) => testKey(label).signer)

/** A case and what must be said of it. */
type Expected = readonly [expected: string, each: Case]

function expect(expected: string, name: string, changed: Partial<Case> = {}): Expected {
  return [expected, { name, trust, bundle, reference, ...changed }]
}

/** The example's bundle with other signature bytes. */
function withSignature(change: (sig: Buffer) => void): string {
  const signatures = envelope.signatures.map(({ keyid, sig }) => {
    const bytes = Buffer.from(sig)
    change(bytes)
    return { keyid, sig: bytes }
  })
  return textOf(formatBundle({ ...parsed, envelope: { ...envelope, signatures } }))
}

function withPayload(change: (payload: Buffer) => void): string {
  const payload = Buffer.from(envelope.payload)
  change(payload)
  return textOf(formatBundle({ ...parsed, envelope: { ...envelope, payload } }))
}

function textOf(bytes: Uint8Array): string {
  return decodeUtf8(bytes, "text")
}

// S + L verifies wherever S is not compared with the order L (RFC 8032 §5.1.7).
function addOrder(sig: Buffer): void {
  let carry = (1n << 252n) + 27742317777372353535851937790883648493n
  for (let at = 32; at < 64; at++) {
    carry += BigInt(sig[at] ?? 0)
    sig[at] = Number(carry & 255n)
    carry >>= 8n
  }
}

/** The example's trust root with one more key that may publish, signed again. */
async function trustWith(keyid: string, type: string, bytes: Uint8Array): Promise<string> {
  const root = parseJson(parseEnvelope(Buffer.from(trust)).payload) as JsonObject
  const role = { threshold: 1, keys: [keyid] }
  const payload = canonicalJson({
    ...root,
    keys: { ...(root["keys"] as JsonObject), [keyid]: { type, public: encodeBase64(bytes) } },
    namespaces: [{ pattern: "acme/*", publish: role, promote: role, epoch: 0 }],
  })
  return textOf(formatEnvelope(await signEnvelope({ payloadType: trustRootPayloadType, payload }, signers)))
}

const logKey = noteKey("models.acme.example/log", testKey("log").key)

/** Logged by the example's log, whatever it is. */
function logged(signed: Envelope, changes: Partial<Leaf> = {}): string {
  const log = new TinyLog(openTrustChain([Buffer.from(trust)], { by: "file" }), logKey)
  return textOf(formatBundle(log.bundle(signed, log.publish(signed, changes))))
}

/** The example's proof with another text in it. */
function withProof(from: string | RegExp, to: string): string {
  return textOf(formatBundle({ ...parsed, proof: (parsed.proof ?? "").replace(from, to) }))
}

async function p256Cases(): Promise<Expected[]> {
  const signer: Signer = signerFor(generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey)
  const { keyid, bytes } = signer.publicKey
  const unsigned = { payloadType: statementPayloadType, payload: envelope.payload }
  const signed = await signEnvelope(unsigned, [signer])
  const other = await signer.sign(new Uint8Array(1))
  const forged = { ...signed, signatures: [{ keyid, sig: other }] }
  const changed = { trust: await trustWith(keyid, "ecdsa-p256", bytes) }
  return [
    expect(`sha256:${digest}`, "a P-256 signature", {
      ...changed,
      bundle: logged(signed),
    }),
    expect("SIGNATURE_INVALID", "a P-256 signature of something else", {
      ...changed,
      bundle: logged(forged),
    }),
  ]
}

/** A signature that verifies with the cofactor and fails without: Node and the browser must refuse it alike. */
async function mixedOrderCase(): Promise<Expected> {
  const { keyid } = enrolKey("ed25519", mixedOrderKey)
  const sig = signatureWith(eighth, preAuthEncoding(statementPayloadType, envelope.payload))
  return expect("SIGNATURE_INVALID", "R of mixed order", {
    trust: await trustWith(keyid, "ed25519", mixedOrderKey),
    bundle: textOf(formatBundle({ ...parsed, envelope: { ...envelope, signatures: [{ keyid, sig }] } })),
  })
}

const identity = Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 1 : 0))
const cases: readonly Expected[] = [
  expect(`sha256:${digest}`, "the example"),
  expect(`sha256:${digest}`, "by digest, with the pin", {
    reference: `acme/iris@sha256:${digest}`,
    pin: sha256Hex(parseEnvelope(Buffer.from(trust)).payload),
  }),
  expect("SIGNATURE_INVALID", "one bit of R", { bundle: withSignature((sig) => (sig[0] = (sig[0] ?? 0) ^ 1)) }),
  expect("SIGNATURE_INVALID", "one bit of S", { bundle: withSignature((sig) => (sig[40] = (sig[40] ?? 0) ^ 4)) }),
  expect("SIGNATURE_INVALID", "S plus the order", { bundle: withSignature(addOrder) }),
  expect("SIGNATURE_INVALID", "one bit of the payload", {
    bundle: withPayload((payload) => (payload[99] = (payload[99] ?? 0) ^ 1)),
  }),
  expect("SUBJECT_MISMATCH", "another version", { reference: "acme/iris@1.2.1" }),
  expect("SUBJECT_MISMATCH", "another digest", { reference: `acme/iris@sha256:${"0".repeat(64)}` }),
  expect("TRUST_PIN_MISMATCH", "another pin", { pin: "0".repeat(64) }),
  expect("TRUST_EXPIRED", "a hundred years later", { now: "2126-01-01T00:00:00Z" }),
  expect("KEY_WEAK", "a trust root with a key of small order", {
    trust: await trustWith("0".repeat(64), "ed25519", identity),
  }),
  expect("LOG_INVALID", "not logged", { bundle: textOf(formatBundle({ envelope })) }),
  expect("LOG_INVALID", "a proof that is none", { bundle: withProof(/^/, "x") }),
  expect("LOG_INVALID", "another index", { bundle: withProof("index 2", "index 3") }),
  expect("LOG_INVALID", "another size, which the log did not sign", { bundle: withProof("\n5\n", "\n6\n") }),
  expect(`sha256:${digest}`, "another log of the same key", { bundle: logged(envelope) }),
  expect("LOG_INVALID", "really logged, as another version", { bundle: logged(envelope, { subject: "1.2.1" }) }),
  expect("NEEDS_LOG", "an alias", { reference: "acme/iris:prod" }),
  expect("MANIFEST_INVALID", "a duplicate key", { bundle: bundle.replace(/^\{/, '{"mediaType":"x",') }),
  await mixedOrderCase(),
  ...(await p256Cases()),
]
const given = cases.map(([, each]) => each)

let browser: Report
before(async () => {
  if (chromium === null) return
  const { status, stdout } = spawnSync(join(repository, "node_modules/.bin/tsc"), ["-b", "packages/manifest"], {
    cwd: repository,
    encoding: "utf8",
  })
  assert.equal(status, 0, stdout)
  browser = (await runPage(chromium, site())) as Report
})

function site(): Parameters<typeof runPage>[1] {
  const manifest = join(repository, "packages/manifest")
  const noble = (from: string, name: string): string =>
    realpathSync(join(repository, "packages", from, "node_modules/@noble", name))
  return {
    imports: {
      ...published("manifest"),
      ...published("tlog"),
      "@noble/ed25519": "/noble/ed25519/index.js",
      "@noble/curves/": "/noble/curves/",
      "@noble/hashes/": "/noble/hashes/",
    },
    folders: {
      "/manifest/": join(manifest, "dist"),
      "/tlog/": join(repository, "packages/tlog/dist"),
      "/noble/ed25519/": noble("tlog", "ed25519"),
      "/noble/curves/": noble("manifest", "curves"),
      "/noble/hashes/": noble("manifest", "hashes"),
    },
    scripts: {
      "/judge.js": stripTypeScriptTypes(readFileSync(join(import.meta.dirname, "judge.ts"), "utf8")),
      "/page.js": `
        import { report } from "/judge.js"
        const found = report(navigator.userAgent, ${JSON.stringify(given)})
        await fetch("/report", { method: "POST", body: JSON.stringify(found) })
      `,
    },
  }
}

/** Every name under which a package of ours is imported, and where its compiled module lies. */
function published(name: string): Record<string, string> {
  const json = readFileSync(join(repository, "packages", name, "package.json"), "utf8")
  const { exports } = (
    JSON.parse(json) as { publishConfig: { exports: Record<string, { default?: string } | string> } }
  ).publishConfig
  const modules: Record<string, string> = {}
  for (const [path, target] of Object.entries(exports)) {
    if (typeof target === "string" || target.default === undefined) continue
    modules[`@weighlock/${name}${path.slice(1)}`] = target.default.replace("./dist/", `/${name}/`)
  }
  return modules
}

test("it is a browser, without Node's own verifier", { skip }, () => {
  assert.match(browser.agent, /Chrome\/\d+/)
  assert.equal(browser.hasNodeCrypto, false)
})

for (const [at, [expected, { name }]] of cases.entries()) {
  test(`in the browser, ${name}: ${expected.replace(/:.*/, "")}`, { skip }, () => {
    assert.equal(browser.verdicts[at], expected)
  })
}

test("Node says the same", () => {
  const node = report("node", given)
  assert.equal(node.hasNodeCrypto, true)
  assert.deepEqual(
    node.verdicts,
    cases.map(([expected]) => expected),
  )
})
