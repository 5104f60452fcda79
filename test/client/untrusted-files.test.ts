/** What a log, a folder or a file says by itself is worth nothing: histories, exports, proofs and evidence. */
import assert from "node:assert/strict"
import { appendFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { suite, test } from "node:test"
import { exportLog, modelHistory, verifyLogProof } from "@weighlock/client"
import { encodeBase64, type Envelope, type TrustRoot } from "@weighlock/manifest"
import { readWhole } from "@weighlock/node"
import { type Checkpoint, formatProof, parseProof } from "@weighlock/tlog"
import { logFiles, makeLog, signPublish } from "../support/log-folder.ts"
import { codeOf, tempFolder } from "../support/temp.ts"
import { TinyLog } from "../support/tiny-log.ts"
import { ed25519Signer, logKey, makeChain } from "../support/trust.ts"
import { json, startTiny } from "./tiny-registry.ts"

const own = async (name: string): Promise<unknown> =>
  await import(new URL(`../../packages/client/src/${name}`, import.meta.url).href)
const { keepEvidence } = (await own("evidence.ts")) as {
  keepEvidence: (folder: string, found: Contradiction, log: TrustRoot["log"]) => Promise<string | null>
}
interface Contradiction {
  readonly code: "LOG_INVALID" | "ROLLBACK"
  readonly what: string
  readonly seen: { readonly checkpoint: Checkpoint; readonly note: string }
  readonly shown: { readonly checkpoint: Checkpoint; readonly note: string }
  readonly proof: null
}

suite("a history says what was signed, by whom it counts", () => {
  const alice = ed25519Signer()
  const lies: readonly (readonly [string, string, (log: TinyLog, envelope: Envelope) => number, string])[] = [
    ["another version", "acme/model-0", (log, one) => log.publish(one, { subject: "9.9.9" }), "RULE_BROKEN"],
    ["another model", "acme/fraud", (log, one) => log.publish(one, { model: "acme/fraud" }), "RULE_BROKEN"],
    ["an operation that is none", "acme/model-0", (log, one) => log.publish(one, { op: "alias" }), "RULE_BROKEN"],
    ["what it is", "acme/model-0", (log, one) => log.publish(one), "none"],
  ]
  for (const [what, model, publish, code] of lies) {
    test(`an envelope logged as ${what}: ${code}`, async (t) => {
      const chain = await makeChain([alice])
      const log = new TinyLog(chain, logKey)
      const index = publish(log, await signPublish(alice, 0, 1))
      const peer = await startTiny(t, { chain, log, envelopes: [] })
      const entry = encodeBase64(log.entries[index] ?? new Uint8Array(0))
      const entries = [{ index, entry, hashes: log.inclusion(index).map(encodeBase64) }]
      peer.over = (path) =>
        path.endsWith("/history") ? json({ model, size: log.size, checkpoint: log.note(), entries }) : null
      const trust = join(tempFolder(t), "trust.json")
      writeFileSync(trust, chain.envelopes[0] ?? "")
      const options = { registry: peer.url, trust, state: tempFolder(t), cache: tempFolder(t) }
      assert.equal(await codeOf(() => modelHistory(model, options)), code)
    })
  }
})

test("an export looks at a payload that is in the folder already", async (t) => {
  const made = await makeLog({ publishes: 3, models: 1, largeEvery: 2 })
  const peer = await startTiny(t, made)
  const trust = join(tempFolder(t), "trust.json")
  writeFileSync(trust, made.chain.envelopes[0] ?? "")
  const folder = tempFolder(t)
  const [path = "", bytes = ""] = [...logFiles(made.log)].find(([name]) => name.startsWith("payload/")) ?? []
  mkdirSync(join(folder, "payload/sha256"), { recursive: true })
  const options = { registry: peer.url, trust, state: tempFolder(t), cache: tempFolder(t) }
  for (const other of ["garbage", "", Buffer.from(bytes).subarray(1)]) {
    writeFileSync(join(folder, path), other)
    assert.equal(await codeOf(() => exportLog(folder, options)), "CONFLICT")
  }
  writeFileSync(join(folder, path), bytes)
  assert.equal((await exportLog(folder, options)).size, 5)
})

test("a proof with extra data, which nothing signs, is refused", async (t) => {
  const { chain, log } = await makeLog({ publishes: 3 })
  const request = { entry: log.entries[3] ?? new Uint8Array(0), trustChain: chain, maxStaleness: null, now: new Date() }
  const proof = log.proof(3)
  assert.equal((await verifyLogProof({ ...request, proof, state: tempFolder(t) })).index, 3)
  const more = formatProof({ ...parseProof(proof), extra: Buffer.from("signed by nobody") })
  assert.equal(await codeOf(() => verifyLogProof({ ...request, proof: more, state: tempFolder(t) })), "LOG_INVALID")
})

suite("evidence", async () => {
  const { chain, log } = await makeLog({ publishes: 110 })
  const { log: names } = chain.current
  const seen = { checkpoint: log.checkpoint(112), note: log.note(112) }
  const found = (code: Contradiction["code"], size: number): Contradiction => {
    return { code, what: "?", seen, shown: { checkpoint: log.checkpoint(size), note: log.note(size) }, proof: null }
  }

  test("a hundred rollbacks leave room for a fork", async (t) => {
    const folder = join(tempFolder(t), "evidence")
    const kept = []
    for (let size = 1; size < 103; size++) kept.push(await keepEvidence(folder, found("ROLLBACK", size), names))
    assert.deepEqual([kept[99] === null, kept[100]], [false, null])
    assert.notEqual(await keepEvidence(folder, found("LOG_INVALID", 3), names), null)
    assert.equal(readdirSync(folder).length, 101)
  })
  test("the same again is one folder; what a crash left half written is none", async (t) => {
    const folder = join(tempFolder(t), "evidence")
    const whole = (await keepEvidence(folder, found("ROLLBACK", 5), names)) ?? ""
    assert.match(whole, /-ROLLBACK-[0-9a-f]{16}$/)
    assert.equal(await keepEvidence(folder, found("ROLLBACK", 5), names), whole)
    const other = tempFolder(t)
    mkdirSync(join(other, ".0011223344556677.tmp"))
    const again = (await keepEvidence(other, found("ROLLBACK", 5), names)) ?? ""
    assert.deepEqual(readdirSync(again).toSorted(), ["README.txt", "seen.checkpoint", "shown.checkpoint"])
    assert.deepEqual(readdirSync(other).filter((name) => name.endsWith(".tmp")).length, 1)
  })
})

test("a file that changes while it is read is not read on", async (t) => {
  const path = join(tempFolder(t), "file")
  writeFileSync(path, "0123456789")
  const file = await open(path)
  const { stat } = file
  file.stat = (async () => {
    const before = await stat.call(file)
    appendFileSync(path, Buffer.alloc(2 ** 20))
    return before
  }) as typeof stat
  assert.equal(await readWhole(file), null)
  file.stat = stat
  assert.equal((await readWhole(file))?.length, 10 + 2 ** 20)
  await file.close()
})
