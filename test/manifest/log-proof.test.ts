/** What `verify` asks of the log: this entry, in a state that the right key signed, that enough witnesses saw, and that only grew. */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  type Bundle,
  checkpointOf,
  encodeUtf8,
  formatBundle,
  type Leaf,
  makeStatement,
  parseBundle,
  parseLeaf,
  payloadOf,
  sha256Hex,
  signEnvelope,
  trustedLog,
  type VerifiedManifest,
  verifyGenesis,
} from "@weighlock/manifest"
import {
  type Checkpoint,
  emptyCheckpoint,
  formatNote,
  formatProof,
  type Hash,
  hashLeaf,
  parseNote,
  parseProof,
  verifyInclusion,
} from "@weighlock/tlog"
import { type NoteKey, noteKey, TinyLog } from "../support/tiny-log.ts"
import {
  check,
  draft,
  ed25519Signer,
  file,
  logKey,
  makeChain,
  now,
  registry,
  rootJson,
  signDraft,
  signManifest,
  signRoot,
  utf8,
} from "../support/trust.ts"
import { every } from "../support/thorough.ts"

const [alice, bob] = [ed25519Signer(), ed25519Signer()]
const chain = await makeChain([alice, bob])
const envelope = await signDraft([alice])
const other = await signDraft([alice], { version: "1.3.0" })
const logInvalid = { code: "LOG_INVALID" }

/** genesis, trust, 1.0.0, 1.1.0, the envelope (4), 1.3.0, 1.4.0 */
async function busyLog(): Promise<TinyLog> {
  const log = new TinyLog(chain, logKey)
  for (const version of ["1.0.0", "1.1.0"]) log.publish(await signDraft([alice], { version }))
  log.publish(envelope)
  log.publish(other)
  log.publish(await signDraft([alice], { version: "1.4.0" }))
  return log
}
const log = await busyLog()
const at = 4
const bundle = log.bundle(envelope, at)

function look(bundle: Bundle, seen?: Checkpoint, consistency: readonly Hash[] = []): VerifiedManifest {
  return check(chain, bundle, undefined, undefined, seen === undefined ? {} : { seen, consistency })
}

test("the verified manifest says where and when it was logged", () => {
  const manifest = look(bundle)
  assert.equal(manifest.index, at)
  assert.equal(manifest.loggedAt.toISOString(), "2026-11-23T12:00:00.123Z")
  assert.deepEqual(manifest.checkpoint, log.checkpoint())
  assert.equal(manifest.checkpointNote, log.note())
  assert.equal(manifest.freshness, null)
  assert.deepEqual(checkpointOf(bundle, chain), log.checkpoint())
})
test("a bundle is the same after it was written and read", () => {
  const bytes = formatBundle(bundle)
  assert.deepEqual(formatBundle(parseBundle(bytes)), bytes)
  assert.equal(look(parseBundle(bytes)).index, at)
})

const without: Record<string, Bundle> = {
  "without entry and proof": { envelope },
  "without the entry": { envelope, proof: bundle.proof ?? "" },
  "without the proof": { envelope, entry: bundle.entry ?? new Uint8Array() },
  "with an empty entry": { ...bundle, entry: new Uint8Array() },
  "with an empty proof": { ...bundle, proof: "" },
}
for (const [why, bad] of Object.entries(without)) {
  test(`refused: a bundle ${why}`, () => {
    assert.throws(() => look(bad), logInvalid)
    if (bad.entry === undefined) assert.throws(() => checkpointOf(bad, chain), logInvalid)
  })
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (bundle: Bundle): { entry: Uint8Array; proof: string } => ({
  entry: bundle.entry ?? new Uint8Array(),
  proof: bundle.proof ?? "",
})
const { entry, proof } = bytesOf(bundle)

test("refused: bits of the entry flipped, and cuts of it", () => {
  const claim = { index: at, size: log.size, root: log.checkpoint().root, proof: log.inclusion(at) }
  verifyInclusion({ ...claim, leaf: hashLeaf(entry) })
  for (let bit = 0; bit < entry.length * 8; bit += every(5)) {
    const bad = Uint8Array.from(entry)
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    assert.throws(() => verifyInclusion({ ...claim, leaf: hashLeaf(bad) }), { code: "PROOF_INVALID" })
    // The whole verify takes a hundred times as long: one bit of each third byte.
    if (bit % 24 === (bit >> 3) % 8) assert.throws(() => look({ ...bundle, entry: bad }), logInvalid, `bit ${bit}`)
  }
  for (let length = 0; length < entry.length; length += 37) {
    assert.throws(() => look({ ...bundle, entry: entry.subarray(0, length) }), logInvalid)
  }
  assert.throws(() => look({ ...bundle, entry: Uint8Array.of(...entry, 0x0a) }), logInvalid)
})
test("refused: characters of the proof changed, dropped and doubled", () => {
  for (let at = 0; at < proof.length; at += every(5)) {
    const [before, here, after] = [proof.slice(0, at), proof.charCodeAt(at), proof.slice(at + 1)]
    const spellings = [before + after, before + String.fromCharCode(here, here) + after]
    for (let bit = 0; bit < 7; bit++) spellings.push(before + String.fromCharCode(here ^ (1 << bit)) + after)
    for (const bad of spellings) {
      if (bad !== proof) assert.throws(() => look({ ...bundle, proof: bad }), logInvalid, JSON.stringify(bad))
    }
  }
})

/** The leaf of the envelope with one field altered, really logged, with a genuine proof. */
function relogged(changes: Partial<Leaf>): Bundle {
  const fresh = new TinyLog(chain, logKey)
  return fresh.bundle(envelope, fresh.publish(envelope, changes))
}
const two = await signManifest(envelope.payload, [alice, bob])
const otherLeaf = log.leafOf(other)
const altered: Record<string, Partial<Leaf>> = {
  "another model": { model: "acme/mnist2" },
  "another namespace": { model: "beta/mnist" },
  "another version": { subject: "1.2.1" },
  "another payload": { payload: otherLeaf.payload },
  "another payload of the same size": {
    payload: payloadOf("application/vnd.in-toto+json", envelope.payload.toReversed()),
  },
  "another payload type": { payload: payloadOf("application/vnd.in-toto+jsom", envelope.payload) },
  "the digest of another payload": { payload: { ...log.leafOf(envelope).payload, sha256: "0".repeat(64) } },
  "the signatures of another envelope": { signatures: other.signatures },
  "one more signature": { signatures: two.signatures },
  "another keyid": { signatures: envelope.signatures.map(({ sig }) => ({ keyid: "0".repeat(64), sig })) },
  "another operation": { op: "alias" },
}
for (const [why, changes] of Object.entries(altered)) {
  test(`refused: really logged, with ${why}`, () => {
    const bad = relogged(changes)
    parseLeaf(bad.entry ?? new Uint8Array())
    assert.throws(() => look(bad), logInvalid)
  })
}
test("not refused: another time or place among the model's entries, which is for audits to judge", () => {
  assert.equal(look(relogged({ at: 7 })).loggedAt.getTime(), 7)
  assert.equal(look(relogged({ seq: 9, prev: new Uint8Array(32) })).index, 2)
})
test("refused: the same payload with fewer signatures than were logged", () => {
  const fresh = new TinyLog(chain, logKey)
  const index = fresh.publish(two)
  assert.equal(look(fresh.bundle(two, index)).index, 2)
  for (const signature of two.signatures) {
    assert.throws(() => look(fresh.bundle({ ...two, signatures: [signature] }, index)), logInvalid)
  }
})
test("refused: a genuine proof of another artifact", () => {
  const stranger = log.bundle(other, 5)
  assert.equal(check(chain, stranger, "acme/mnist@1.3.0").version, "1.3.0")
  assert.throws(() => look({ ...stranger, envelope }), logInvalid)
  assert.throws(() => look({ ...bundle, ...bytesOf({ ...stranger, entry }) }), logInvalid)
  assert.throws(() => look({ ...bundle, entry: bytesOf(stranger).entry }), logInvalid)
})
test("refused: another version than was asked for, which is not the log's fault", () => {
  assert.throws(() => look(log.bundle(other, 5)), { code: "SUBJECT_MISMATCH" })
})
test("refused: a signature that fails is told from one that was not logged", () => {
  const signatures = envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig: Uint8Array.from(sig).reverse() }))
  assert.throws(() => look({ ...bundle, envelope: { ...envelope, signatures } }), { code: "SIGNATURE_INVALID" })
})

const parsed = parseProof(proof)
const mangled: Record<string, string> = {
  "the index before": formatProof({ ...parsed, index: at - 1 }),
  "the index after": formatProof({ ...parsed, index: at + 1 }),
  "an index beyond the size": formatProof({ ...parsed, index: 7 }),
  "no hashes": formatProof({ ...parsed, hashes: [] }),
  "a hash less": formatProof({ ...parsed, hashes: parsed.hashes.slice(1) }),
  "a hash more": formatProof({ ...parsed, hashes: [...parsed.hashes, new Uint8Array(32)] }),
  "swapped hashes": formatProof({ ...parsed, hashes: parsed.hashes.toReversed() }),
  "extra data": formatProof({ ...parsed, extra: Uint8Array.of(1) }),
  "a checkpoint of another size": formatProof({ ...parsed, checkpoint: log.note(5) }),
}
for (const [why, bad] of Object.entries(mangled)) {
  test(`refused: a proof with ${why}`, () => assert.throws(() => look({ ...bundle, proof: bad }), logInvalid))
}

test("refused: genesis and trust root used as a publish", () => {
  for (const index of [0, 1]) assert.throws(() => look(log.bundle(envelope, index)), logInvalid)
  const bare = new TinyLog(chain, logKey).clear()
  assert.deepEqual([bare.publish(envelope), bare.publish(other, { seq: 0, prev: new Uint8Array(0) })], [0, 1])
  for (const index of [0, 1]) assert.throws(() => look(bare.bundle(index === 0 ? envelope : other, index)), logInvalid)
})

function signedBy(...keys: NoteKey[]): Bundle {
  const fresh = new TinyLog(chain, logKey)
  const index = fresh.publish(envelope)
  return fresh.signWith(...keys).bundle(envelope, index)
}
const strangers: Record<string, readonly NoteKey[]> = {
  "another key of the same name": [noteKey(`${registry}/log`)],
  "another name with the same key": [noteKey("other.example/log", logKey.key)],
  "an unknown key alone": [noteKey("other.example/log")],
  "a witness's key": [noteKey(`${registry}/log`, logKey.key, 0x04)],
}
for (const [why, keys] of Object.entries(strangers)) {
  test(`refused: a checkpoint signed by ${why}`, () => {
    assert.throws(() => look(signedBy(...keys)), logInvalid)
    assert.throws(() => checkpointOf(signedBy(...keys), chain), logInvalid)
  })
}
test("an unknown key beside the log's own is ignored, a bad signature of the log's own is not", () => {
  assert.equal(look(signedBy(logKey, noteKey("other.example/log"))).index, 2)
  const note = parseNote(log.note())
  const [own] = note.signatures
  const forged = own === undefined ? [] : [own, { ...own, bytes: own.bytes.toReversed() }]
  const bad = formatProof({ ...parsed, checkpoint: formatNote({ ...note, signatures: forged }) })
  assert.throws(() => look({ ...bundle, proof: bad }), logInvalid)
})
test("refused: a checkpoint of another origin that this key signed as well", () => {
  const foreign = new TinyLog(
    {
      ...chain,
      current: { ...chain.current, log: { ...chain.current.log, origin: "other.example/log" } },
    },
    logKey,
  )
  const index = foreign.publish(envelope)
  assert.throws(() => look(foreign.bundle(envelope, index)), logInvalid)
})

test("seen before: smaller, equal and larger states of the same log", () => {
  for (let seen = 0; seen <= log.size; seen++) {
    const proof = log.consistency(seen)
    assert.equal(look(bundle, log.checkpoint(seen), proof).index, at)
    if (seen > at) {
      const older = log.bundle(envelope, at, seen)
      assert.equal(look(older, log.checkpoint(), log.consistency(seen)).checkpoint.size, seen)
    }
  }
})
test("refused: consistency that is missing, too much, mangled, or of other sizes", () => {
  const [seen, proof] = [log.checkpoint(3), log.consistency(3)]
  assert.ok(proof.length > 1)
  const flipped = proof.map((hash, at) => (at === 0 ? hash.map((byte) => byte ^ 1) : hash))
  const bad = [[], proof.slice(1), [...proof, new Uint8Array(32)], proof.toReversed(), flipped, log.consistency(5)]
  for (const hashes of bad) assert.throws(() => look(bundle, seen, hashes), logInvalid)
  assert.throws(() => look(bundle, log.checkpoint(), proof), logInvalid)
  assert.throws(() => look(bundle, emptyCheckpoint(log.origin), proof), logInvalid)
  assert.throws(() => look(bundle, seen, [...proof.slice(1), new Uint8Array(31)]), logInvalid)
})
test("refused: another past, smaller, equal or larger", async () => {
  const forked = new TinyLog(chain, logKey)
  for (const version of ["1.0.0", "9.9.9", "1.5.0", "1.6.0", "1.7.0", "1.8.0"]) {
    forked.publish(await signDraft([alice], { version }))
  }
  for (const size of [4, log.size, forked.size]) {
    assert.throws(() => look(bundle, forked.checkpoint(size), forked.consistency(log.size, size)), logInvalid)
    assert.throws(() => look(bundle, forked.checkpoint(size), log.consistency(Math.min(size, log.size))), logInvalid)
  }
  assert.equal(look(bundle, forked.checkpoint(3), log.consistency(3)).index, at) // so far they are one
})
test("refused: seen of another origin, or an empty state with a root of some", () => {
  assert.throws(() => look(bundle, emptyCheckpoint("other.example/log")), logInvalid)
  assert.throws(() => look(bundle, { ...log.checkpoint(0), root: new Uint8Array(32) }), logInvalid)
})

const [w1, w2] = [noteKey("w1.example", undefined, 0x04), noteKey("w2.example", undefined, 0x04)]
const policy = `witness w1 ${w1.vkey}\nwitness w2 ${w2.vkey}\ngroup both all w1 w2\nquorum both\n`
const witnessed = await makeChain([alice, bob], { log: { origin: `${registry}/log`, vkeys: [logKey.vkey], policy } })
const seconds = Math.floor(now.getTime() / 1000)

test("witnesses: a quorum that is missing is asked for again, one that is there dates the view", () => {
  const log = new TinyLog(witnessed, logKey, [w1, w2])
  const index = log.publish(envelope)
  assert.throws(() => check(witnessed, log.bundle(envelope, index)), { code: "NOT_YET_WITNESSED" })
  const manifest = check(witnessed, log.bundle(envelope, index, undefined, seconds - 60))
  assert.equal(manifest.freshness?.getTime(), (seconds - 60) * 1000)
  const half = new TinyLog(witnessed, logKey, [w1])
  half.publish(envelope)
  assert.throws(() => check(witnessed, half.bundle(envelope, 2, 3, seconds)), { code: "NOT_YET_WITNESSED" })
  const twice = new TinyLog(witnessed, logKey, [w1, w1])
  twice.publish(envelope)
  assert.throws(
    () => check(witnessed, twice.bundle(envelope, 2, 3, seconds)),
    (error: Error & { code: string }) => ["NOT_YET_WITNESSED", "LOG_INVALID"].includes(error.code),
  )
  assert.equal(trustedLog(witnessed).policy.witnesses.length, 2)
  assert.equal(checkpointOf(half.bundle(envelope, 2), witnessed).size, 3)
})
test('witnesses: what is forged is never "ask again"', () => {
  const log = new TinyLog(witnessed, logKey, [w1, w2])
  const index = log.publish(envelope)
  const forked = emptyCheckpoint(`${registry}/log`)
  const unwitnessed = log.bundle(envelope, index)
  assert.throws(
    () => check(witnessed, unwitnessed, undefined, undefined, { seen: { ...forked, root: new Uint8Array(32) } }),
    logInvalid,
  )
  assert.throws(() => check(witnessed, { ...unwitnessed, entry: log.entries[0] ?? entry }), logInvalid)
  const impostor = new TinyLog(witnessed, logKey, [w1, noteKey("w2.example", undefined, 0x04)])
  impostor.publish(envelope)
  assert.throws(() => check(witnessed, impostor.bundle(envelope, 2, 3, seconds)), { code: "NOT_YET_WITNESSED" })
})
test("freshness: within what is asked for, or STALE; without witnesses always STALE", () => {
  const log = new TinyLog(witnessed, logKey, [w1, w2])
  const fresh = log.bundle(envelope, log.publish(envelope), undefined, seconds - 60)
  const stale = { code: "STALE" }
  assert.equal(check(witnessed, fresh, undefined, undefined, { maxStaleness: 60 }).index, 2)
  assert.throws(() => check(witnessed, fresh, undefined, undefined, { maxStaleness: 59 }), stale)
  assert.throws(() => check(witnessed, fresh, undefined, undefined, { maxStaleness: Number.NaN }), stale)
  assert.throws(() => check(chain, bundle, undefined, undefined, { maxStaleness: 1e9 }), stale)
  const ahead = (by: number) => log.bundle(envelope, 2, undefined, seconds + by)
  assert.equal(check(witnessed, ahead(200), undefined, undefined, { maxStaleness: 60 }).index, 2)
  assert.throws(() => check(witnessed, ahead(3600), undefined, undefined, { maxStaleness: 60 }), stale)
})

for (const [why, policy] of Object.entries({
  "a log line": `log ${logKey.vkey}\nquorum none\n`,
  "no quorum": `witness w1 ${w1.vkey}\n`,
  "a quorum of nobody": "quorum w1\n",
  "no final line feed": "quorum none",
  "a witness with a log's key": `witness w1 ${logKey.vkey}\nquorum w1\n`,
  nothing: "",
})) {
  test(`a trust root is refused: a policy with ${why}`, async () => {
    const json = rootJson([alice], { log: { origin: `${registry}/log`, vkeys: [logKey.vkey], policy } })
    const signed = await signRoot(json, [alice])
    const { openTrustChain } = await import("@weighlock/manifest")
    assert.throws(() => openTrustChain([signed], { by: "file" }), { code: "MANIFEST_INVALID" })
  })
}
test("a trust root is refused: a log key that is a witness's", async () => {
  const vkeys = [noteKey(`${registry}/log`, logKey.key, 0x04).vkey]
  await assert.rejects(makeChain([alice], { log: { origin: `${registry}/log`, vkeys, policy: "quorum none\n" } }), {
    code: "MANIFEST_INVALID",
  })
})

test("refused: an expired trust root, whatever the log says", () => {
  assert.throws(() => check(chain, bundle, undefined, new Date("2028-01-01T00:00:00Z")), { code: "TRUST_EXPIRED" })
})

test("large manifests: the payload is outside the entry above 8,192 bytes, inside up to it", async () => {
  const resources = Array.from({ length: 80 }, (_, at) => file(`file-${String(at).padStart(4, "0")}`))
  const large = await signManifest(
    makeStatement(draft({ format: "other", resources: [...resources, file("model.json")] })),
    [alice],
  )
  assert.ok(large.payload.length > 8192)
  const fresh = new TinyLog(chain, logKey)
  const index = fresh.publish(large)
  assert.equal(look(fresh.bundle(large, index)).index, 2)
  const { payload } = fresh.leafOf(large)
  assert.equal(payload.inline, undefined)
  const fat = fresh.append(
    encodeUtf8(
      text(fresh.entries[index] ?? entry).replace(
        '"payload":{',
        `"payload":{"inline":"${Buffer.from(large.payload).toString("base64")}",`,
      ),
    ),
    large.payload,
  )
  assert.throws(() => look(fresh.bundle(large, fat)), logInvalid)
  const thin = fresh.append(encodeUtf8(text(entry).replace(/"inline":"[^"]*",/, "")), envelope.payload)
  assert.throws(() => look(fresh.bundle(envelope, thin)), logInvalid)
})
test("refused: an entry of more than 16 KiB, and one that is not canonical, although the log holds it", async () => {
  const fresh = new TinyLog(chain, logKey)
  const good = text(entry)
  for (const bad of [
    good.replace('"subject":"1.2.0"', `"subject":"1.2.0"${" ".repeat(16_384)}`),
    ` ${good}`,
    `${good}\n`,
    good.replace('{"at":', '{"at":0,"at":'),
    good.replace('"v":1', '"v":1.0'),
    good.replace("acme/mnist", "acme\\u002fmnist"),
    good.replace('"op":"publish",', "").replace('"v":1', '"op":"publish","v":1'),
    good.replace('"v":1', '"v":2'),
    good.replace('"v":1', '"__proto__":{},"v":1'),
  ]) {
    assert.throws(
      () => look(fresh.bundle(envelope, fresh.append(encodeUtf8(bad), envelope.payload))),
      logInvalid,
      bad.slice(-80),
    )
  }
})
test("a bundle is refused: base64 of the entry that is not canonical, or an entry or proof that is too long", () => {
  const json = text(formatBundle(bundle))
  const bad = (from: RegExp | string, to: string): Uint8Array => utf8(json.replace(from, to))
  for (const bytes of [
    bad(/"entry":"([^"]*)"/, '"entry":"$1\\n"'),
    bad(/"entry":"[^"]*"/, '"entry":null'),
    bad(/"proof":"[^"]*"/, '"proof":7'),
  ]) {
    assert.throws(() => parseBundle(bytes), { code: "MANIFEST_INVALID" })
  }
  assert.throws(() => parseBundle(formatBundle({ ...bundle, entry: new Uint8Array(16_385) })), { code: "TOO_LARGE" })
  assert.throws(() => parseBundle(formatBundle({ ...bundle, proof: "x".repeat(73_729) })), { code: "TOO_LARGE" })
})

test("first contact: the genesis names our trust root, our log and its key", async () => {
  const genesis = log.entries[0] ?? entry
  const facts = verifyGenesis(genesis, log.inclusion(0), log.checkpoint(), chain)
  assert.deepEqual(facts, { origin: `${registry}/log`, trustRoot: chain.current.digest, vkey: logKey.vkey })
  const another = await makeChain([bob])
  assert.throws(() => verifyGenesis(genesis, log.inclusion(0), log.checkpoint(), another), logInvalid)
  assert.throws(() => verifyGenesis(entry, log.inclusion(at), log.checkpoint(), chain), logInvalid)
  assert.throws(() => verifyGenesis(genesis, log.inclusion(1), log.checkpoint(), chain), logInvalid)
  assert.throws(() => verifyGenesis(genesis, log.inclusion(0), log.checkpoint(5), chain), logInvalid)
  assert.throws(() => verifyGenesis(log.entries[1] ?? entry, log.inclusion(1), log.checkpoint(), chain), logInvalid)
  const strange = new TinyLog(chain, noteKey(`${registry}/log`))
  assert.throws(
    () => verifyGenesis(strange.entries[0] ?? entry, strange.inclusion(0), strange.checkpoint(), chain),
    logInvalid,
  )
})
test("the digest that was asked for is the payload's, not the entry's", () => {
  assert.throws(() => check(chain, bundle, `acme/mnist@sha256:${sha256Hex(entry)}`), { code: "SUBJECT_MISMATCH" })
})
test("refused: an envelope of another kind, really logged", async () => {
  const record = await signEnvelope({ payloadType: "application/vnd.weighlock.alias.v1+json", payload: utf8("{}") }, [
    alice,
  ])
  const fresh = new TinyLog(chain, logKey)
  assert.throws(() => look(fresh.bundle(record, fresh.publish(record))), { code: "MANIFEST_INVALID" })
})
