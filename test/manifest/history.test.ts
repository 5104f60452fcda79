/** The rules of a history, one by one: what the registry makes passes them, what breaks one is named. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  admitPublish,
  type AdmittedPublish,
  applyEntry,
  type AuditRule,
  auditRules,
  DraftHistory,
  encodeUtf8,
  type Envelope,
  firstEntries,
  formatGenesis,
  formatLeaf,
  genesisPayloadType,
  HistoryError,
  type History,
  type JsonObject,
  type Leaf,
  makeStatement,
  nextPublish,
  type OpenedEntry,
  openEntry,
  openTrustChain,
  parseLeaf,
  payloadOf,
  publicKeys,
  ReplayedHistory,
  sha256Hex,
  signEnvelope,
  type Signer,
  type TrustChain,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { hashLeaf } from "@weighlock/tlog"
import { loggedAt, noteKey, TinyLog } from "../support/tiny-log.ts"
import {
  draft,
  ed25519Signer,
  file,
  keyEntry,
  logKey,
  makeChain,
  namespace,
  now,
  p256Signer,
  registry,
  role,
  rootJson,
  signDraft,
  signManifest,
  signRoot,
  utf8,
} from "../support/trust.ts"

const [alice, bob, carol] = [ed25519Signer(), p256Signer(), ed25519Signer()]
const chain = await makeChain([alice, bob], {
  namespaces: [namespace("acme/fraud*", role(2, alice, bob)), namespace("acme/*", role(1, alice, bob))],
})
const keys = publicKeys(chain.current)
const notARoot = payloadOf(trustRootPayloadType, utf8("{}"))
const signature = { keyid: "0".repeat(64), sig: new Uint8Array(64) }

/** Every entry of the log, opened and applied; the histories must agree at each. */
function replay(log: TinyLog, trustChain: TrustChain = chain): ReplayedHistory {
  const history = new ReplayedHistory(trustChain)
  for (let index = 0; index < log.size; index++) applyAll(history, log, index, trustChain)
  return history
}

function applyAll(history: ReplayedHistory, log: TinyLog, index: number, trustChain: TrustChain): void {
  history.apply(opened(log, index, trustChain))
}

function opened(log: TinyLog, index: number, trustChain: TrustChain = chain): OpenedEntry {
  const entry = log.entries[index] ?? new Uint8Array()
  const inline = parseLeafOrNull(entry)?.payload.inline
  const payload = inline === undefined ? (log.payloads[index] ?? null) : null
  const every = openEntry(entry, payload, publicKeys(trustChain.current), "every")
  const native = openEntry(entry, payload, publicKeys(trustChain.current), "native")
  assert.deepEqual(native, every)
  assert.deepEqual(structuredClone(native), every)
  return native
}

function parseLeafOrNull(entry: Uint8Array): Leaf | null {
  try {
    return parseLeaf(entry)
  } catch {
    return null
  }
}

/** Exactly this rule is broken, by the class it belongs to. */
function breaks(rule: AuditRule, run: () => unknown): void {
  const logRules: readonly AuditRule[] = ["leaf", "payload", "signature", "genesis"]
  const code = logRules.includes(rule) ? "LOG_INVALID" : "RULE_BROKEN"
  assert.throws(run, (error) => {
    assert.ok(error instanceof HistoryError, String(error))
    assert.deepEqual([error.rule, error.code], [rule, code], error.message)
    return true
  })
}

const admitted = (envelope: Envelope, trustChain: TrustChain = chain, at = now): AdmittedPublish => {
  const model = /"model":"([^"]*)"/.exec(Buffer.from(envelope.payload).toString())?.[1] ?? ""
  return {
    ...admitPublish({ envelope, trustChain, model, now: at, verifiers: "every" }),
    signatures: envelope.signatures,
  }
}

test("what the sequencer makes passes, and an auditor opens it to the same", async () => {
  const draftHistory = new DraftHistory(new ReplayedHistory(chain))
  const replayed = new ReplayedHistory(chain)
  const log: { entry: Uint8Array; payload: Uint8Array; opened: OpenedEntry }[] = []
  for (const next of firstEntries(chain, logKey.vkey, 1000)) {
    draftHistory.apply(next.opened)
    log.push(next)
  }
  const wanted: [string, string, number][] = [
    ["acme/mnist", "1.0.0", 5000],
    ["acme/mnist", "1.1.0", 4000], // the clock went back
    ["acme/iris", "1.0.0", 6000],
    ["acme/mnist", "1.2.0", 6000],
  ]
  for (const [model, version, at] of wanted) {
    const next = nextPublish(draftHistory, admitted(await signDraft([alice, bob], { model, version })), at)
    draftHistory.apply(next.opened)
    log.push(next)
  }
  for (const { entry, payload, opened: own } of log) {
    const { inline } = parseLeaf(entry).payload
    const found = openEntry(entry, inline === undefined ? payload : null, keys, "native")
    assert.deepEqual(found, own)
    replayed.apply(found)
  }
  assert.deepEqual(
    log.map(({ opened: { at, seq } }) => [at, seq]),
    [
      [1000, undefined],
      [1000, undefined],
      [5000, 0],
      [5000, 1],
      [6000, 0],
      [6000, 2],
    ],
  )
  for (const history of [draftHistory, replayed]) {
    assert.deepEqual([history.size, history.lastAt], [6, 6000])
    assert.deepEqual(history.model("acme/mnist"), { seq: 2, leaf: hashLeaf(log[5]?.entry ?? new Uint8Array()) })
    assert.equal(history.model("acme/none"), null)
    assert.equal(history.bound("acme/mnist", "1.1.0"), log[3]?.opened.payload.sha256)
    assert.equal(history.bound("acme/iris", "1.1.0"), null)
    assert.equal(history.bound("acme", "mnist@1.1.0"), null)
  }
  assert.equal(replayed.versions, 4)
  assert.deepEqual(
    [...replayed.bindings()].map(({ model, version }) => `${model}@${version}`),
    wanted.map(([model, version]) => `${model}@${version}`),
  )
})
test("a draft leaves its base alone, and adds nothing that is refused", async () => {
  const log = new TinyLog(chain, logKey)
  log.publish(await signDraft([alice]))
  const base = replay(log)
  const draftHistory = new DraftHistory(base)
  const next = nextPublish(draftHistory, admitted(await signDraft([alice], { version: "1.3.0" })), 0)
  draftHistory.apply(next.opened)
  breaks("sequence", () => draftHistory.apply(next.opened))
  assert.deepEqual([base.size, draftHistory.size], [3, 4])
  assert.equal(base.bound("acme/mnist", "1.3.0"), null)
})
test("nextPublish: a version that is bound, and an expired root, are the publisher's to hear", async () => {
  const log = new TinyLog(chain, logKey)
  log.publish(await signDraft([alice]))
  const history = replay(log)
  const same = admitted(await signDraft([alice]))
  const another = admitted(await signDraft([alice], { metadata: {} }))
  for (const each of [same, another]) assert.throws(() => nextPublish(history, each, 0), { code: "VERSION_EXISTS" })
  const late = Date.parse("2027-11-23T00:00:00Z")
  const fresh = admitted(await signDraft([alice], { version: "1.3.0" }))
  assert.throws(() => nextPublish(history, fresh, late), { code: "TRUST_EXPIRED" })
  assert.equal(nextPublish(history, fresh, late - 1).leaf.at, late - 1)
})

/** The log [genesis, trust, 1.0.0, then one entry with a rule broken]. */
async function broken(envelope: Envelope, changes: Partial<Leaf> = {}, trustChain = chain): Promise<() => void> {
  const log = new TinyLog(trustChain, logKey)
  log.publish(await signDraft([alice], { version: "1.0.0" }))
  const history = replay(log, trustChain)
  const index = log.publish(envelope, changes)
  return () => applyEntry(history, opened(log, index, trustChain))
}
async function holds(...entry: Parameters<typeof broken>): Promise<void> {
  const judge = await broken(...entry)
  judge()
}
const good = await signDraft([alice])
const next = { seq: 1 }

test("nothing is broken by a good entry", () => holds(good))
const changed: Partial<Record<AuditRule, Partial<Leaf>>> = {
  time: { at: loggedAt - 1 },
  subject: { subject: "1.2.1" },
  sequence: { seq: 2 },
  previous: { ...next, prev: new Uint8Array(32) },
  operation: { op: "alias" },
  payload: { payload: { ...payloadOf("application/vnd.in-toto+json", good.payload), sha256: "0".repeat(64) } },
  content: {
    payload: payloadOf("application/vnd.in-toto+json", utf8("{}")),
    signatures: (await signManifest(utf8("{}"), [alice])).signatures,
  },
  signature: { signatures: (await signDraft([alice], { version: "9.0.0" })).signatures },
}
for (const [rule, changes] of Object.entries(changed)) {
  test(`broken by one field: ${rule}`, async () => breaks(rule as AuditRule, await broken(good, changes)))
}
test("broken: seq that begins at 1, or again at 0", async () => {
  const iris = await signDraft([alice], { model: "acme/iris" })
  breaks("sequence", await broken(iris, { seq: 1, prev: new Uint8Array(32) }))
  breaks("sequence", await broken(good, { seq: 0, prev: new Uint8Array(0) }))
})
test("broken: the entry names another model than its payload", async () => {
  breaks("subject", await broken(good, { model: "acme/iris", seq: 0, prev: new Uint8Array(0) }))
})
test("broken: a version bound again, to another manifest or to the same", async () => {
  breaks("binding", await broken(await signDraft([alice], { version: "1.0.0" })))
  breaks("binding", await broken(await signDraft([alice], { version: "1.0.0", metadata: {} })))
})
test("broken: for another registry", async () => {
  breaks("registry", await broken(await signDraft([alice], { registry: "other.example" })))
})
test("broken: too few signatures, the wrong namespace, nobody's namespace", async () => {
  breaks("threshold", await broken(await signDraft([alice], { model: "acme/fraud-2" })))
  await holds(await signDraft([alice, bob], { model: "acme/fraud-2" }))
  breaks("threshold", await broken(await signDraft([alice, bob], { model: "beta/mnist" })))
})
test("broken: a stranger has signed, alone or beside a publisher", async () => {
  breaks("stranger", await broken(await signDraft([carol])))
  breaks("stranger", await broken(await signDraft([alice, carol])))
})
test("broken: a key that is compromised or retired does not count", async () => {
  for (const mark of [{ compromised: true }, { retiredAt: { size: 99, root: Buffer.alloc(32).toString("base64") } }]) {
    const json = rootJson([alice, bob])
    const listed = {
      ...(json["keys"] as JsonObject),
      [carol.publicKey.keyid]: { ...keyEntry(carol.publicKey), ...mark },
    }
    const publish = "compromised" in mark ? role(1, alice) : role(1, alice, carol)
    const marked = await makeChain([alice, bob], { keys: listed, namespaces: [namespace("*/*", publish)] })
    breaks("threshold", await broken(await signDraft([carol]), {}, marked))
    await holds(await signDraft([alice, carol]), {}, marked)
  }
})
test("broken: the trust root had expired", async () => {
  breaks("expiry", await broken(good, { at: Date.parse("2027-11-23T00:00:00Z") }))
  await holds(good, { at: Date.parse("2027-11-23T00:00:00Z") - 1 })
})
test("broken: an entry that is no leaf, or holds a payload of another kind", async () => {
  const log = new TinyLog(chain, logKey)
  for (const bad of ["", "{}", "\u0000", " ".repeat(20_000), Buffer.from(log.entries[0] ?? []).toString() + "\n"]) {
    breaks("leaf", () => openEntry(encodeUtf8(bad), null, keys, "native"))
  }
  const record = await signEnvelope({ payloadType: "application/vnd.weighlock.alias.v1+json", payload: utf8("{}") }, [
    alice,
  ])
  breaks("content", await broken(record, { subject: "1.2.0" }))
  const alias = await broken(record, { op: "alias", subject: "prod", model: "acme/mnist" })
  breaks("operation", alias)
})
test("broken: a large payload that is absent, short, or another", async () => {
  const resources = Array.from({ length: 80 }, (_, at) => file(`file-${String(at).padStart(4, "0")}`))
  const large = await signManifest(
    makeStatement(draft({ format: "other", resources: [...resources, file("model.json")] })),
    [alice],
  )
  const log = new TinyLog(chain, logKey)
  const entry = log.entries[log.publish(large)] ?? new Uint8Array()
  assert.equal(openEntry(entry, large.payload, keys, "native").payload.sha256, sha256Hex(large.payload))
  for (const bad of [null, new Uint8Array(0), large.payload.subarray(1), large.payload.toReversed()]) {
    breaks("payload", () => openEntry(entry, bad, keys, "native"))
  }
})
test("a signature that a strict verifier refuses is refused by both", async () => {
  const log = new TinyLog(chain, logKey)
  for (const signer of [alice, bob]) {
    const signed = await signDraft([signer])
    for (const sig of [new Uint8Array(0), new Uint8Array(64), Uint8Array.of(...(signed.signatures[0]?.sig ?? []), 0)]) {
      const signatures = [{ keyid: signer.publicKey.keyid, sig }]
      const entry = log.entries[log.publish({ ...signed, signatures })] ?? new Uint8Array()
      for (const verifiers of ["every", "native"] as const)
        breaks("signature", () => openEntry(entry, null, keys, verifiers))
    }
  }
})

const genesisLeaf = (facts: Parameters<typeof formatGenesis>[0]): Uint8Array =>
  formatLeaf({ op: "genesis", at: 1, payload: payloadOf(genesisPayloadType, formatGenesis(facts)), signatures: [] })
const facts = { origin: `${registry}/log`, trustRoot: chain.current.digest, vkey: logKey.vkey }
const first = (entry: Uint8Array): void =>
  applyEntry(new ReplayedHistory(chain), openEntry(entry, null, keys, "native"))
test("broken: a genesis of another log, another trust root, another key", () => {
  first(genesisLeaf(facts))
  const foreign = { ...facts, origin: "other.example/log", vkey: noteKey("other.example/log").vkey }
  for (const bad of [
    foreign,
    { ...facts, trustRoot: "0".repeat(64) },
    { ...facts, vkey: noteKey(`${registry}/log`).vkey },
  ]) {
    breaks("genesis", () => first(genesisLeaf(bad)))
  }
  breaks("content", () => first(genesisLeaf({ ...facts, origin: "other.example/log" })))
  breaks("content", () => first(genesisLeaf({ ...facts, trustRoot: "x" })))
})
test("broken: entry 1 is another trust root, or one that too few have signed", async () => {
  const history: History = { ...plain(new ReplayedHistory(chain)), size: 1 }
  const judge = (entry: Uint8Array, payload: Uint8Array | null): void =>
    applyEntry(history, openEntry(entry, payload, keys, "native"))
  const [, trust] = firstEntries(chain, logKey.vkey, 0)
  judge(trust.entry, trust.leaf.payload.inline === undefined ? trust.payload : null)
  const [, other] = firstEntries(await makeChain([bob]), logKey.vkey, 0)
  breaks("trust", () => judge(other.entry, null))
  breaks("subject", () => judge(formatLeaf({ ...trust.leaf, subject: "2" }), null))
  breaks("trust", () => judge(formatLeaf({ ...trust.leaf, payload: notARoot, signatures: [signature] }), null))
  const two = await makeChainOf2()
  const [, whole] = firstEntries(two, logKey.vkey, 0)
  const half = formatLeaf({ ...whole.leaf, signatures: whole.leaf.signatures.slice(1) })
  breaks("trust", () => applyEntry({ ...history, trustChain: two }, openEntry(half, null, keys, "native")))
  const forged = whole.leaf.signatures.map(({ keyid, sig }) => ({ keyid, sig: sig.toReversed() }))
  breaks("signature", () =>
    openEntry(formatLeaf({ ...whole.leaf, signatures: forged }), null, publicKeys(two.current), "native"),
  )
})
test("broken: a trust root of anybody's making, which is not read", () => {
  const leaf: Leaf = { op: "trust", at: 0, subject: "1", payload: notARoot, signatures: [signature] }
  const found = openEntry(formatLeaf(leaf), null, keys, "native")
  assert.deepEqual([found.content, found.signers, found.strangers], [{ kind: "trust" }, [], [signature.keyid]])
  for (const size of [0, 2]) {
    breaks("operation", () => applyEntry({ ...plain(new ReplayedHistory(chain)), size }, found))
  }
})
test("entry 1 is signed by strangers as well: they count for nothing", async () => {
  const bytes = await signRoot(rootJson([alice, bob], { roles: { root: role(2, alice, bob) } }), [alice, bob, carol])
  const three = openTrustChain([bytes], { by: "file" })
  const log = new TinyLog(three, logKey)
  assert.equal(log.size, replay(log, three).size)
  const [, { opened: made }] = firstEntries(three, logKey.vkey, loggedAt)
  assert.deepEqual(opened(log, 1, three), made)
})
test("broken: operations out of their place", async () => {
  const [genesis, trust] = firstEntries(chain, logKey.vkey, 0)
  const publish = nextPublish(new ReplayedHistory(chain), admitted(good), 0)
  const orders = [
    [trust],
    [publish],
    [genesis, genesis],
    [genesis, publish],
    [genesis, trust, genesis],
    [genesis, trust, trust],
  ]
  for (const order of orders) {
    const history = new ReplayedHistory(chain)
    for (const { opened } of order.slice(0, -1)) history.apply(opened)
    breaks("operation", () => order.slice(-1).forEach(({ opened }) => history.apply(opened)))
  }
})
test("one finding stays one: what follows is judged by what the log says", async () => {
  const log = new TinyLog(chain, logKey)
  log.publish(await signDraft([alice], { version: "1.0.0" }))
  log.publish(await signDraft([alice], { version: "1.1.0" }), { seq: 7, prev: new Uint8Array(32) })
  log.append(utf8("garbage"), utf8(""))
  log.publish(await signDraft([alice], { version: "1.0.0", metadata: {} }), { at: loggedAt + 50 })
  log.publish(await signDraft([alice], { version: "1.2.0" }))
  log.publish(await signDraft([alice], { version: "1.3.0" }), { at: loggedAt + 50 })
  const found: string[] = []
  const history = new ReplayedHistory(chain)
  for (let index = 0; index < log.size; index++) {
    try {
      applyAll(history, log, index, chain)
    } catch (error) {
      assert.ok(error instanceof HistoryError)
      found.push(`${index} ${error.rule}`)
      if (error.rule === "leaf") history.skip()
    }
  }
  assert.deepEqual(found, ["3 sequence", "4 leaf", "5 binding", "6 time"])
  assert.deepEqual([history.size, history.lastAt, history.versions], [8, loggedAt + 50, 4])
  assert.equal(history.model("acme/mnist")?.seq, 10)
  assert.equal(history.bound("acme/mnist", "1.0.0"), parseLeaf(log.entries[2] ?? new Uint8Array()).payload.sha256)
})
test("many models and versions are kept apart", () => {
  const history = new ReplayedHistory(chain)
  const base = opened(new TinyLog(chain, logKey), 0)
  const rows = Array.from({ length: 10_000 }, (_, at) => ({
    model: `acme/m${at % 97}`,
    subject: `1.${at}.0`,
    sha256: sha256Hex(utf8(String(at))),
  }))
  for (const [at, { model, subject, sha256 }] of rows.entries()) {
    const payload = { type: "t", size: 1, sha256 }
    const entry = {
      ...base,
      op: "publish" as const,
      model,
      subject,
      seq: at,
      hash: hashLeaf(utf8(String(at))),
      payload,
    }
    assert.throws(() => history.apply(entry)) // a genesis's content: broken, and added
  }
  for (const [at, { model, subject, sha256 }] of rows.entries()) {
    assert.equal(history.bound(model, subject), sha256)
    if (at >= 10_000 - 97) assert.deepEqual(history.model(model), { seq: at, leaf: hashLeaf(utf8(String(at))) })
  }
  assert.deepEqual([...history.bindings()].length, 10_000)
})
test("every rule has a name and a sentence", () => {
  for (const [name, meaning] of Object.entries(auditRules)) assert.match(`${name}: ${meaning}`, /^[a-z]+: .{20,}$/)
})

function plain(history: History): History {
  const { trustChain, size, lastAt } = history
  return {
    trustChain,
    size,
    lastAt,
    model: (name) => history.model(name),
    bound: (model, version) => history.bound(model, version),
  }
}

async function makeChainOf2(): Promise<TrustChain> {
  const { openTrustChain } = await import("@weighlock/manifest")
  const { signRoot } = await import("../support/trust.ts")
  const signers: Signer[] = [alice, bob]
  return openTrustChain([await signRoot(rootJson(signers, { roles: { root: role(2, ...signers) } }), signers)], {
    by: "file",
  })
}
