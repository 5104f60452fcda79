/** An operator who has the log's key, and what an audit tells of him all the same: nothing he answers hides what was found. */
import assert from "node:assert/strict"
import { sign } from "node:crypto"
import { existsSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { suite, test, type TestContext } from "node:test"
import { audit, auditExit, type AuditOptions, type AuditReport, fetchModel } from "@weighlock/client"
import {
  type Envelope,
  formatBundle,
  makeStatement,
  parseStatement,
  type Signer,
  type TrustChain,
} from "@weighlock/manifest"
import { formatCheckpoint, formatNote, parseVkey } from "@weighlock/tlog"
import { makeLog, signPublish, writeLog } from "../support/log-folder.ts"
import { codeOf, tempFolder } from "../support/temp.ts"
import { noteKey, TinyLog } from "../support/tiny-log.ts"
import { draft, ed25519Signer, file, logKey, makeChain, registry, signManifest, vkey } from "../support/trust.ts"
import { json, listed, startTiny, type TinyRegistry } from "./tiny-registry.ts"

const versions = 3

interface Small {
  readonly chain: TrustChain
  readonly signer: Signer
  readonly log: TinyLog
  readonly envelopes: (Envelope | null)[]
}

async function smallLog(policy?: string, witness?: ReturnType<typeof noteKey>): Promise<Small> {
  const signer = ed25519Signer()
  const log = { origin: `${registry}/log`, vkeys: [vkey], policy: policy ?? "quorum none\n" }
  const chain = await makeChain([signer], { log })
  const tiny = new TinyLog(chain, logKey, witness === undefined ? [] : [witness])
  const envelopes: (Envelope | null)[] = [null, null]
  for (let at = 0; at < versions; at++) envelopes.push(await signPublish(signer, at, 1))
  for (const envelope of envelopes) if (envelope !== null) tiny.publish(envelope)
  return { chain, signer, log: tiny, envelopes }
}

function trustFile(t: TestContext, chain: TrustChain): string {
  const path = join(tempFolder(t), "trust.json")
  writeFileSync(path, chain.envelopes[0] ?? "")
  return path
}

async function auditOf(
  t: TestContext,
  chain: TrustChain,
  { url }: Pick<TinyRegistry, "url">,
  changes: Partial<AuditOptions> = {},
): Promise<AuditReport> {
  const source = { kind: "registry", url } as const
  return await audit({ source, trust: trustFile(t, chain), state: tempFolder(t), ...changes })
}

const found = ({ findings }: AuditReport): unknown[] => findings.map(({ check, code, index }) => [check, code, index])
const bundlePaths = (envelope: Envelope): string[] => {
  const { model, version, digest } = parseStatement(envelope.payload)
  return [`api/v1/models/${model}/versions/${version}`, `api/v1/manifests/sha256/${digest}`]
}
const manifests = (envelopes: readonly (Envelope | null)[]): ReturnType<typeof parseStatement>[] =>
  envelopes.flatMap((one) => (one === null ? [] : [parseStatement(one.payload)]))

suite("bundles of another history, signed by the log", () => {
  test("a version listed as newer, with a proof in a fork: found, with evidence", async (t) => {
    const { chain, signer, log, envelopes } = await smallLog()
    const fork = new TinyLog(chain, logKey)
    for (let at = 0; at < versions + 1; at++) fork.publish(await signPublish(signer, at, 1, false, "fork"))
    const statement = draft({
      model: "acme/model-0",
      version: "6.6.6",
      format: "other",
      entrypoint: "w",
      resources: [file("w")],
    })
    const evil = await signManifest(makeStatement(statement), [signer])
    const bundle = formatBundle(fork.bundle(evil, fork.publish(evil)))
    const peer = await startTiny(t, { chain, log, envelopes })
    peer.over = (path) => {
      if (path === "api/v1/models/acme/model-0") return json({ versions: manifests([...envelopes, evil]).map(listed) })
      return path.endsWith("/6.6.6") ? { body: bundle } : null
    }
    const report = await auditOf(t, chain, peer)
    assert.deepEqual(found(report), [["live", "LOG_INVALID", undefined]])
    assert.match(report.findings[0]?.message ?? "", /evidence/)
  })
  for (const more of [0, 6]) {
    test(`logged versions under a fork, while the log has ${more} entries more than it`, async (t) => {
      const { chain, signer, log, envelopes } = await smallLog()
      const fork = new TinyLog(chain, logKey)
      for (const envelope of envelopes) if (envelope !== null) fork.publish(envelope)
      for (let at = 0; at < 4; at++) fork.publish(await signPublish(signer, at, 1, false, "fork"))
      const forked = new Map(
        envelopes.flatMap((one, index) =>
          one === null ? [] : bundlePaths(one).map((path) => [path, formatBundle(fork.bundle(one, index))] as const),
        ),
      )
      for (let at = 10; at < 10 + more; at++) {
        const envelope = await signPublish(signer, at, 1)
        envelopes.push(envelope)
        log.publish(envelope)
      }
      const peer = await startTiny(t, { chain, log, envelopes })
      peer.over = (path) => {
        const body = forked.get(path)
        return body === undefined ? null : { body }
      }
      const report = await auditOf(t, chain, peer)
      assert.equal(auditExit(report), 14)
      assert.deepEqual(
        new Set(report.findings.map(({ check, index }) => `${check} ${index}`)),
        new Set(["live 2", "live 3", "live 4"]),
      )
    })
  }
  test("a bundle with other signatures than were logged", async (t) => {
    const { chain, log, envelopes } = await smallLog()
    const peer = await startTiny(t, { chain, log, envelopes })
    const envelope = envelopes[3] as Envelope
    const stripped = {
      ...envelope,
      signatures: envelope.signatures.map((one) => ({ ...one, sig: new Uint8Array(64) })),
    }
    const [path] = bundlePaths(envelope)
    peer.over = (asked) => (asked === path ? { body: formatBundle(log.bundle(stripped, 3)) } : null)
    assert.deepEqual(found(await auditOf(t, chain, peer)), [["live", "LOG_INVALID", 3]])
  })
  test("a bundle whose checkpoint too few witnesses have cosigned", { timeout: 300_000 }, async (t) => {
    const witness = noteKey("witness.example/w", undefined, 0x04)
    const { chain, log, envelopes } = await smallLog(`witness w ${witness.vkey}\nquorum w\n`, witness)
    const time = Math.floor(Date.now() / 1000)
    const peer = await startTiny(t, { chain, log, envelopes, time })
    assert.deepEqual(found(await auditOf(t, chain, peer)), [])
    const envelope = envelopes[3] as Envelope
    const [path] = bundlePaths(envelope)
    peer.over = (asked) => (asked === path ? { body: formatBundle(log.bundle(envelope, 3)) } : null)
    assert.deepEqual(found(await auditOf(t, chain, peer)), [["live", "NOT_YET_WITNESSED", 3]])
  })
})

suite("lists", () => {
  test("a version named twice in place of another one", async (t) => {
    const { chain, log, envelopes } = await smallLog()
    const peer = await startTiny(t, { chain, log, envelopes })
    const [first, second] = manifests(envelopes).map(listed)
    peer.over = (path) => (path === "api/v1/models/acme/model-0" ? json({ versions: [first, first, second] }) : null)
    const report = await auditOf(t, chain, peer)
    assert.deepEqual(
      report.findings.map(({ message }) => /twice|2 of the 3/.exec(message)?.[0]),
      ["twice", "2 of the 3"],
    )
  })
  test("a version or a model named twice, and nothing missing", async (t) => {
    const { chain, log, envelopes } = await smallLog()
    const peer = await startTiny(t, { chain, log, envelopes })
    const all = manifests(envelopes).map(listed)
    peer.over = (path) => (path === "api/v1/models/acme/model-0" ? json({ versions: [...all, all[0]] }) : null)
    assert.deepEqual(found(await auditOf(t, chain, peer)), [["live", "LOG_INVALID", undefined]])
    const twice = { model: "acme/model-0", versions: 3 }
    peer.over = (path) => (path === "api/v1/models" ? json({ models: [twice, twice] }) : null)
    assert.deepEqual(found(await auditOf(t, chain, peer)), [["live", "LOG_INVALID", undefined]])
  })
})

test("a registry that makes up names is not read for ever: the comparison ends, and the audit did not finish", async (t) => {
  const { chain, log, envelopes } = await smallLog()
  const peer = await startTiny(t, { chain, log, envelopes })
  const twice = { model: "acme/model-0", versions: 3 }
  const page = JSON.stringify({ models: Array.from({ length: 150_000 }, () => twice), next: "more" })
  peer.over = (path) => (path.startsWith("api/v1/models?") || path === "api/v1/models" ? { body: page } : null)
  const report = await auditOf(t, chain, peer)
  assert.equal(auditExit(report), 14)
  assert.equal(report.findings.length + report.omitted, 100_001)
  assert.match(report.incomplete ?? "", /more than 100000 .* never logged/)
})

suite("what is kept as seen", () => {
  const checkpoints = (state: string): string[] =>
    existsSync(state)
      ? readdirSync(state, { recursive: true })
          .map(String)
          .filter((name) => name.endsWith(".checkpoint"))
      : []

  for (const hashOnly of [true, false]) {
    test(`a log of another genesis is found and not kept, ${hashOnly ? "hashes only" : "replayed"}`, async (t) => {
      const { chain, envelopes } = await smallLog()
      const other = new TinyLog(await makeChain([ed25519Signer()]), logKey)
      for (const envelope of envelopes) if (envelope !== null) other.publish(envelope)
      const [folder, state] = [join(tempFolder(t), "log"), tempFolder(t)]
      writeLog(folder, other)
      const trust = trustFile(t, chain)
      const report = await audit({ source: { kind: "folder", path: folder }, trust, state, hashOnly })
      assert.equal(auditExit(report), 14)
      assert.deepEqual(found(report)[0], ["genesis", "LOG_INVALID", 0])
      assert.deepEqual(checkpoints(state), [])
      const peer = await startTiny(t, { chain, log: other, envelopes })
      const options = { registry: peer.url, trust, state, cache: tempFolder(t) }
      assert.equal(await codeOf(() => fetchModel("acme/model-0@1.0.0", options)), "LOG_INVALID")
    })
  }
  test("a log without a genesis is not kept: any finding is one too many", async (t) => {
    const { chain, log, envelopes } = await smallLog()
    log.clear().publish(envelopes[2] as Envelope)
    const [folder, state] = [join(tempFolder(t), "log"), tempFolder(t)]
    writeLog(folder, log)
    const report = await audit({ source: { kind: "folder", path: folder }, trust: trustFile(t, chain), state })
    assert.deepEqual([auditExit(report), checkpoints(state)], [7, []])
  })
})

test("a checkpoint of 2^53-1 entries that are not there: found, and it ends", { timeout: 300_000 }, async (t) => {
  const { chain, log } = await smallLog()
  const folder = join(tempFolder(t), "log")
  writeLog(folder, log)
  const text = formatCheckpoint({ origin: log.origin, size: Number.MAX_SAFE_INTEGER, root: new Uint8Array(32) })
  const { name = "", id = "" } = parseVkey(logKey.vkey) ?? {}
  writeFileSync(
    join(folder, "checkpoint"),
    formatNote({ text, signatures: [{ name, id, bytes: sign(null, Buffer.from(text), logKey.key) }] }),
  )
  for (const hashOnly of [true, false]) {
    const report = await audit({
      source: { kind: "folder", path: folder },
      trust: trustFile(t, chain),
      state: tempFolder(t),
      hashOnly,
    })
    assert.equal(auditExit(report), 14)
    assert.match(report.findings.at(-1)?.message ?? "", /ends/)
  }
})

suite("503", { concurrency: 2 }, () => {
  test(
    "what was found before is reported, as an audit that did not come to its end",
    { timeout: 300_000 },
    async (t) => {
      const made = await makeLog({ publishes: 300, models: 3 })
      const peer = await startTiny(t, made)
      peer.over = (path) => {
        if (path === "log/tile/0/000") return { body: Buffer.alloc(8192, 7) }
        return path.startsWith("log/tile/entries/001") ? { status: 503 } : null
      }
      const report = await auditOf(t, made.chain, peer, { live: false })
      assert.deepEqual(found(report), [["tile", "LOG_INVALID", 0]])
      assert.deepEqual([auditExit(report), typeof report.incomplete], [14, "string"])
      peer.over = (path) => (path.startsWith("log/tile/entries/001") ? { status: 503 } : null)
      assert.equal(await codeOf(() => auditOf(t, made.chain, peer, { live: false })), "UNAVAILABLE")
    },
  )
  test(
    "one bundle that the API does not give, while it gives all others, is a finding",
    { timeout: 300_000 },
    async (t) => {
      const { chain, log, envelopes } = await smallLog()
      const peer = await startTiny(t, { chain, log, envelopes })
      const [path] = bundlePaths(envelopes[3] as Envelope)
      peer.over = (asked) => (asked === path ? { status: 503 } : null)
      const report = await auditOf(t, chain, peer)
      assert.deepEqual([found(report), report.incomplete], [[["live", "LOG_INVALID", 3]], null])
    },
  )
  test("one that was busy for a moment is none", { timeout: 300_000 }, async (t) => {
    const { chain, log, envelopes } = await smallLog()
    const peer = await startTiny(t, { chain, log, envelopes })
    const [path] = bundlePaths(envelopes[3] as Envelope)
    let times = 0
    peer.over = (asked) => (asked === path && times++ < 4 ? { status: 503 } : null)
    assert.deepEqual(found(await auditOf(t, chain, peer)), [])
  })
  test("an API that answers nothing says nothing: UNAVAILABLE", { timeout: 300_000 }, async (t) => {
    const { chain, log, envelopes } = await smallLog()
    const peer = await startTiny(t, { chain, log, envelopes })
    peer.over = (path) => (path.startsWith("api/") ? { status: 503 } : null)
    assert.equal(await codeOf(() => auditOf(t, chain, peer)), "UNAVAILABLE")
  })
})
