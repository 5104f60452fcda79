/** The trust root: its schema, roles, patterns and pins, and who may publish what under it. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  admitPublish,
  canonicalJson,
  encodeBase64,
  type Envelope,
  formatEnvelope,
  type JsonObject,
  type JsonValue,
  limits,
  openTrustChain,
  parseEnvelope,
  parseTrustRoot,
  patternMatches,
  rootSignatures,
  sha256Hex,
  type Signer,
  signEnvelope,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { formatVkey, parseVkey } from "@weighlock/tlog"
import { noteKey } from "../support/tiny-log.ts"
import {
  check,
  ed25519Signer,
  keyEntry,
  makeChain,
  namespace,
  p256Signer,
  registry,
  role,
  rootJson,
  signDraft,
  signRoot,
  vkey,
} from "../support/trust.ts"

const [alice, bob, carol] = [ed25519Signer(), ed25519Signer(), p256Signer()]
const invalid = { code: "MANIFEST_INVALID" }
const tooLarge = { code: "TOO_LARGE" }
const file = { by: "file" } as const

type Any = any // a tree to break at any place
function broken(edit: (root: Any) => void): Uint8Array {
  const root = structuredClone(rootJson([alice, bob])) as Any
  edit(root)
  return canonicalJson(root as JsonValue)
}
const idOf = ({ publicKey }: Signer): string => publicKey.keyid
const stranger = ed25519Signer()

const schema: Record<string, (root: Any) => void> = {
  "type of another record": (r) => (r.type = "alias"),
  "schema 2": (r) => (r.schema = 2),
  "version 0": (r) => (r.version = 0),
  "version 1.5 as text": (r) => (r.version = "1"),
  "previous on version 1": (r) => (r.previous = "0".repeat(64)),
  "no previous on version 2": (r) => (r.version = 2),
  "previous in upper case": (r) => Object.assign(r, { version: 2, previous: "A".repeat(64) }),
  "expires with milliseconds": (r) => (r.expires = "2027-11-23T00:00:00.000Z"),
  "expires never": (r) => delete r.expires,
  "registry with a scheme": (r) => (r.registry = `https://${registry}`),
  "unknown field": (r) => (r.admin = true),
  "keys a list": (r) => (r.keys = [keyEntry(alice.publicKey)]),
  "key under another id": (r) => (r.keys["0".repeat(64)] = keyEntry(stranger.publicKey)),
  "key __proto__": (r) =>
    Object.defineProperty(r.keys, "__proto__", { value: keyEntry(stranger.publicKey), enumerable: true }),
  "key of unknown type": (r) => (r.keys[idOf(alice)].type = "rsa"),
  "key with a private part": (r) => (r.keys[idOf(alice)].private = "AA=="),
  "compromised: false": (r) => (r.keys[idOf(alice)].compromised = false),
  "label with an escape": (r) => (r.keys[idOf(alice)].label = "a\u001b[31m"),
  "label empty": (r) => (r.keys[idOf(alice)].label = ""),
  "retiredAt root of 31 bytes": (r) =>
    (r.keys[idOf(alice)].retiredAt = { size: 1, root: encodeBase64(new Uint8Array(31)) }),
  "retiredAt negative": (r) => (r.keys[idOf(alice)].retiredAt = { size: -1, root: encodeBase64(new Uint8Array(32)) }),
  "root threshold 0": (r) => (r.roles.root.threshold = 0),
  "root threshold -1": (r) => (r.roles.root.threshold = -1),
  "root threshold as text": (r) => (r.roles.root.threshold = "1"),
  "root threshold > keys": (r) => (r.roles.root.threshold = 3),
  "root without keys": (r) => (r.roles.root.keys = []),
  "root lists a key twice": (r) => (r.roles.root.keys = [idOf(alice), idOf(alice)]),
  "root threshold 2 by one key twice": (r) => (r.roles.root = { threshold: 2, keys: [idOf(alice), idOf(alice)] }),
  "root lists an unknown key": (r) => r.roles.root.keys.push(idOf(stranger)),
  "root lists __proto__": (r) => r.roles.root.keys.push("__proto__"),
  "root lists a compromised key": (r) => (r.keys[idOf(bob)].compromised = true),
  "another role": (r) => (r.roles.admin = r.roles.root),
  "publish threshold 0": (r) => (r.namespaces[0].publish = { threshold: 0, keys: [idOf(alice)] }),
  "publish threshold > keys": (r) => (r.namespaces[0].publish = { threshold: 2, keys: [idOf(alice)] }),
  "promote with an unknown key": (r) => (r.namespaces[0].promote = { threshold: 1, keys: [idOf(stranger)] }),
  "promote missing": (r) => delete r.namespaces[0].promote,
  "epoch missing": (r) => delete r.namespaces[0].epoch,
  "epoch negative": (r) => (r.namespaces[0].epoch = -1),
  "no log": (r) => delete r.log,
  "log without keys": (r) => (r.log.vkeys = []),
  "log key twice": (r) => r.log.vkeys.push(vkey),
  "log of another origin": (r) => (r.log.origin = "other.example/log"),
  "log key of another origin": (r) => (r.log.vkeys = [formatVkey("other.example/log", alice.publicKey.bytes)]),
  "log key with another id": (r) => (r.log.vkeys = [vkey.replace(/\+[0-9a-f]{8}\+/, "+00000000+")]),
  "log key cut": (r) => (r.log.vkeys = [vkey.slice(0, -4)]),
  "log key with a newline": (r) => (r.log.vkeys = [`${vkey}\n`]),
  "log policy of witnesses nobody counts": (r) => (r.log.policy = "witness w1 …\nquorum w1\n"),
}
for (const [why, edit] of Object.entries(schema)) {
  test(`trust root refused: ${why}`, () => assert.throws(() => parseTrustRoot(broken(edit)), invalid))
}
test("trust root refused: not canonical", () => {
  const text = Buffer.from(canonicalJson(rootJson([alice]))).toString()
  for (const other of [
    `${text}\n`,
    ` ${text}`,
    JSON.stringify(rootJson([alice])),
    text.replace('"schema":1', '"schema":1.0'),
  ]) {
    assert.throws(() => parseTrustRoot(Buffer.from(other)), invalid)
  }
})
test("trust root refused: weak keys, of publishers and of the log", () => {
  const small = new Uint8Array(32).with(0, 1)
  assert.throws(
    () => parseTrustRoot(broken((r) => (r.keys["0".repeat(64)] = { type: "ed25519", public: encodeBase64(small) }))),
    { code: "KEY_WEAK" },
  )
  assert.throws(() => parseTrustRoot(broken((r) => (r.log.vkeys = [formatVkey(`${registry}/log`, small)]))), {
    code: "KEY_WEAK",
  })
})
test("trust root refused: more keys than are checked for weakness, before one is", () => {
  const { keys } = rootJson([alice])
  const many = Object.fromEntries(Array.from({ length: limits.keys }, (_, at) => [`${at}`, null]))
  assert.throws(() => parseTrustRoot(broken((r) => (r.keys = { ...(keys as JsonObject), ...many }))), tooLarge)
  assert.throws(() => parseTrustRoot(broken((r) => (r.log.vkeys = Array(limits.logKeys + 1).fill("")))), tooLarge)
  const own = Array.from({ length: limits.logKeys }, () => noteKey(`${registry}/log`).vkey)
  assert.equal(parseTrustRoot(broken((r) => (r.log.vkeys = own))).log.vkeys.length, limits.logKeys)
})
test("trust root refused: more than 1 MiB", () => {
  assert.throws(() => parseTrustRoot(new Uint8Array(limits.trustRoot + 1)), tooLarge)
})

for (const pattern of ["*/*", "acme/*", "acme/fraud*", "a*/b", "a.*/x-*", "acme/mnist"]) {
  test(`pattern: ${pattern}`, () => {
    assert.equal(parseTrustRoot(broken((r) => (r.namespaces[0].pattern = pattern))).namespaces[0]?.pattern, pattern)
  })
}
const badPatterns = [
  "",
  "*",
  "acme",
  "a/b/c",
  "acme/**",
  "*acme/x",
  "a*b/c",
  "acme/",
  "/x",
  "Acme/*",
  "acme/?",
  "acme/[a]",
  "-*/x",
  "acme/x.git",
  "../*",
]
for (const pattern of badPatterns) {
  test(`pattern refused: ${JSON.stringify(pattern)}`, () => {
    assert.throws(() => parseTrustRoot(broken((r) => (r.namespaces[0].pattern = pattern))), invalid)
  })
}
test("patterns: a literal, a prefix, all; never across the slash", () => {
  const cases: [string, string, boolean][] = [
    ["*/*", "a/b", true],
    ["acme/*", "acme/b", true],
    ["acme/*", "acmeX/b", false],
    ["acme*/*", "acmex/b", true],
    ["acme/fraud*", "acme/fraud", true],
    ["acme/fraud*", "acme/fraud-eu", true],
    ["acme/fraud*", "acme/frau", false],
    ["acme/a.b", "acme/axb", false],
    ["acme/mnist", "acme/mnist2", false],
    ["a*/x", "a/b/x", false],
  ]
  for (const [pattern, model, expected] of cases)
    assert.equal(patternMatches(pattern, model), expected, `${pattern} ${model}`)
})

test("pin: the digest of the payload opens it, another does not", async () => {
  const json = rootJson([alice])
  const digest = sha256Hex(canonicalJson(json))
  const bytes = await signRoot(json, [alice])
  assert.equal(openTrustChain([bytes], { by: "digest", digest }).current.digest, digest)
  const other = { by: "digest", digest: "0".repeat(64) } as const
  assert.throws(() => openTrustChain([bytes], other), { code: "TRUST_PIN_MISMATCH" })
})
test("pin: another root of the same registry, well signed by its own keys, is refused", async () => {
  const digest = sha256Hex(canonicalJson(rootJson([alice])))
  const evil = await signRoot(rootJson([stranger]), [stranger])
  assert.throws(() => openTrustChain([evil], { by: "digest", digest }), { code: "TRUST_PIN_MISMATCH" })
})
test("pin: what another made is refused by its digest, and nothing in it is read", async () => {
  const digest = sha256Hex(canonicalJson(rootJson([alice])))
  const weak = { ["0".repeat(64)]: { type: "ed25519", public: encodeBase64(new Uint8Array(32).with(0, 1)) } }
  for (const json of [{}, rootJson([stranger], { keys: weak }), rootJson([stranger], { version: 2 })]) {
    const evil = await signRoot(json, [stranger])
    assert.throws(() => openTrustChain([evil], { by: "digest", digest }), { code: "TRUST_PIN_MISMATCH" })
  }
})
test("chain refused: nothing, a second version, a first of version 2", async () => {
  const one = await signRoot(rootJson([alice]), [alice])
  const two = await signRoot(rootJson([alice], { version: 2, previous: "0".repeat(64) }), [alice])
  for (const chain of [[], [one, two], [one, one], [two]]) assert.throws(() => openTrustChain(chain, file), invalid)
})
test("root threshold: 2 of 3 means two, however it is spelled", async () => {
  const json = rootJson([alice, bob, carol], { roles: { root: role(2, alice, bob, carol) } })
  const open = async (...signers: Signer[]): Promise<unknown> => openTrustChain([await signRoot(json, signers)], file)
  await open(alice, carol)
  await open(alice, bob, carol)
  await assert.rejects(open(alice), { code: "SIGNER_UNTRUSTED" })
  await assert.rejects(open(alice, stranger), { code: "SIGNER_UNTRUSTED" })
  await assert.rejects(open(stranger), { code: "SIGNER_UNTRUSTED" })
  const twice = parseEnvelope(await signRoot(json, [alice])) as { -readonly [K in keyof Envelope]: Envelope[K] }
  twice.signatures = [...twice.signatures, ...twice.signatures]
  assert.throws(() => openTrustChain([formatEnvelope(twice)], file), invalid)
  assert.equal(rootSignatures(parseEnvelope(await signRoot(json, [alice, carol]))).signed, 2)
})
test("root: a listed key outside the root role does not count for it", async () => {
  const json = rootJson([alice, bob], { roles: { root: role(1, alice) } })
  await assert.rejects(async () => openTrustChain([await signRoot(json, [bob])], file), { code: "SIGNER_UNTRUSTED" })
})
test("root: one failing signature of a listed key spoils the envelope, although another holds", async () => {
  const payload = canonicalJson(rootJson([alice, bob]))
  const signed = await signEnvelope({ payloadType: trustRootPayloadType, payload }, [alice, bob])
  const signatures = signed.signatures.map((own) =>
    own.keyid === idOf(bob) ? { ...own, sig: new Uint8Array(64) } : own,
  )
  assert.throws(() => openTrustChain([formatEnvelope({ ...signed, signatures })], file), { code: "SIGNATURE_INVALID" })
})

const publish = async (changes: JsonObject, signers: Signer[], model = "acme/mnist"): Promise<readonly string[]> => {
  const chain = await makeChain([alice, bob, carol], changes)
  return check(chain, await signDraft(signers, { model }), `${model}@1.2.0`).signers
}
const untrusted = { code: "SIGNER_UNTRUSTED" }

test("publish: P-256 counts like Ed25519", async () => {
  assert.deepEqual(await publish({}, [carol]), [idOf(carol)])
})
test("publish: a stranger's signature is refused, and beside a good one does not count", async () => {
  await assert.rejects(publish({}, [stranger]), untrusted)
  assert.deepEqual(await publish({}, [alice, stranger]), [idOf(alice)])
})
test("publish: at POST a stranger's signature is refused even beside a good one", async () => {
  const trustChain = await makeChain([alice])
  const request = {
    trustChain,
    model: "acme/mnist",
    now: new Date("2026-11-24T00:00:00Z"),
    verifiers: "native" as const,
  }
  assert.equal(admitPublish({ ...request, envelope: await signDraft([alice]) }).model, "acme/mnist")
  const envelope = await signDraft([alice, stranger])
  assert.throws(() => admitPublish({ ...request, envelope }), untrusted)
})
test("publish: threshold 2 needs two distinct keys", async () => {
  const two = { namespaces: [namespace("*/*", role(2, alice, bob, carol))] }
  await assert.rejects(publish(two, [alice]), untrusted)
  await assert.rejects(publish(two, [alice, stranger]), untrusted)
  assert.equal((await publish(two, [alice, bob])).length, 2)
  assert.equal((await publish(two, [carol, bob, alice])).length, 3)
})
test("publish: a key of the trust root, but of another namespace, does not count", async () => {
  const split = { namespaces: [namespace("acme/*", role(1, alice)), namespace("beta/*", role(1, bob))] }
  await publish(split, [alice])
  await publish(split, [bob], "beta/x")
  await assert.rejects(publish(split, [bob]), untrusted)
  await assert.rejects(publish(split, [alice], "beta/x"), untrusted)
})
test("publish: a promote key may not publish", async () => {
  const own = { ...namespace("*/*", role(1, alice)), promote: role(1, bob) }
  await assert.rejects(publish({ namespaces: [own] }, [bob]), untrusted)
})
test("publish: the root role alone may not publish", async () => {
  await assert.rejects(publish({ namespaces: [namespace("*/*", role(1, bob))] }, [alice]), untrusted)
})
test("publish: the first match decides, also when it is stricter or laxer than a later one", async () => {
  const first = [namespace("acme/mnist", role(2, alice, bob)), namespace("*/*", role(1, alice))]
  await assert.rejects(publish({ namespaces: first }, [alice]), untrusted)
  await publish({ namespaces: first }, [alice], "acme/other")
  await publish({ namespaces: first.toReversed() }, [alice])
})
test("publish: no match denies, no namespaces deny", async () => {
  await assert.rejects(publish({ namespaces: [namespace("beta/*", role(1, alice))] }, [alice]), untrusted)
  await assert.rejects(publish({ namespaces: [] }, [alice]), untrusted)
})
test("publish: a compromised or retired key counts for nothing", async () => {
  const entries = (flags: JsonObject): JsonObject => ({
    keys: {
      [idOf(alice)]: keyEntry(alice.publicKey),
      [idOf(bob)]: { ...keyEntry(bob.publicKey), ...flags },
      [idOf(carol)]: keyEntry(carol.publicKey),
    },
  })
  const retired = { retiredAt: { size: 10, root: encodeBase64(new Uint8Array(32)) } }
  await assert.rejects(publish({ ...entries(retired) }, [bob]), untrusted)
  const two = { namespaces: [namespace("*/*", role(2, alice, bob))] }
  await assert.rejects(publish({ ...entries(retired), ...two }, [alice, bob]), untrusted)
  const without = { roles: { root: role(1, alice) }, namespaces: [namespace("*/*", role(1, alice))] }
  await assert.rejects(publish({ ...entries({ compromised: true }), ...without }, [bob]), untrusted)
  assert.deepEqual(await publish({ ...entries({ compromised: true }), ...without }, [alice, bob]), [idOf(alice)])
})
test("expiry: judged against the given moment, to the second", async () => {
  const chain = await makeChain([alice], { expires: "2026-12-01T00:00:00Z" })
  const envelope = await signDraft([alice])
  const at = (time: string): unknown => check(chain, envelope, undefined, new Date(time))
  at("2026-11-30T23:59:59Z")
  at("1990-01-01T00:00:00Z")
  assert.throws(() => at("2026-12-01T00:00:00Z"), { code: "TRUST_EXPIRED" })
  assert.throws(() => at("2126-01-01T00:00:00Z"), { code: "TRUST_EXPIRED" })
})

for (const bad of [
  "",
  "name",
  "name+",
  "a+b",
  `${registry}/log`,
  vkey.toUpperCase(),
  ` ${vkey}`,
  `${vkey}=`,
  vkey.replace("+", " "),
]) {
  test(`verifier key refused: ${JSON.stringify(bad.slice(0, 60))}`, () => assert.equal(parseVkey(bad), null))
}
for (const [why, name] of [
  ["a plus", "a+b"],
  ["a space", "a b"],
  ["nothing", ""],
  ["a newline", "a\n"],
] as const) {
  test(`verifier key name refused: ${why}`, () => assert.throws(() => formatVkey(name, new Uint8Array(32)), RangeError))
}
test("verifier key: round trip, and no changed character is accepted", () => {
  assert.equal(parseVkey(vkey)?.name, `${registry}/log`)
  for (let at = 0; at < vkey.length; at++) {
    const changed = `${vkey.slice(0, at)}${vkey[at] === "A" ? "B" : "A"}${vkey.slice(at + 1)}`
    assert.equal(parseVkey(changed), null, changed)
  }
})
