/** A 600-entry export, changed in every file and every way: an audit finds it, and says where. */
import assert from "node:assert/strict"
import { sign } from "node:crypto"
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { after, suite, test, type TestContext } from "node:test"
import { audit, auditExit, type AuditOptions, type AuditReport, type Finding } from "@weighlock/client"
import { formatBundle, formatLeaf, type Leaf, parseLeaf } from "@weighlock/manifest"
import { formatCheckpoint, formatEntryBundle, formatNote, hashLeaf, parseEntryBundle, parseVkey } from "@weighlock/tlog"
import { codeOf, tempFolder } from "../support/temp.ts"
import { tree } from "../support/published.ts"
import { logFiles, type MadeLog, makeLog, signPublish, writeLog } from "../support/log-folder.ts"
import { loggedAt, TinyLog } from "../support/tiny-log.ts"
import { ed25519Signer, logKey } from "../support/trust.ts"
import { sample } from "../support/thorough.ts"

const shared = { after } as unknown as TestContext
const made = await makeLog({ publishes: 598, largeEvery: 250 })
const original = logFiles(made.log)
const home = tempFolder(shared)
const trust = join(home, "trust.json")
writeFileSync(trust, made.chain.envelopes[0] ?? "")

function write(folder: string, files: ReadonlyMap<string, Uint8Array>): string {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), bytes)
  }
  return folder
}

const clean = write(join(home, "clean"), original)

async function judge(folder: string, options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  const state = options.state ?? join(folder, "..", `${folder.split("/").at(-1)}-state`)
  return await audit({ source: { kind: "folder", path: folder }, trust, state, ...options })
}

function copy(t: TestContext): string {
  const folder = join(tempFolder(t), "log")
  cpSync(clean, folder, { recursive: true })
  return folder
}

const named = ({ findings }: AuditReport): string[] =>
  findings.map(({ check, path, index }) => `${check} ${path ?? index}`)

test("untouched: nothing is found, everything was judged, and it is remembered", async (t) => {
  const folder = copy(t)
  const report = await judge(folder, { state: join(folder, "state") })
  assert.deepEqual(report.findings, [])
  assert.deepEqual(
    [report.size, report.entries, report.judged, report.models, report.versions, auditExit(report)],
    [600, 600, 600, 7, 598, 0],
  )
  assert.equal((await judge(folder, { state: join(folder, "state") })).seen.size, 600)
})

test("hashes only: the same entries, no signature judged", async (t) => {
  const report = await judge(copy(t), { hashOnly: true })
  assert.deepEqual([report.entries, report.judged, report.findings.length], [600, 0, 0])
})

test("by pin alone: the trust root is the log's own entry 1", async (t) => {
  const pin = `sha256:${made.chain.current.digest}`
  assert.equal(auditExit(await judge(copy(t), { trust: pin })), 0)
  assert.equal(await codeOf(() => judge(clean, { trust: `sha256:${"0".repeat(64)}` })), "TRUST_UNREADABLE")
})

/**
 * The signatures of 600 entries are most of an audit's work, and say nothing about where in a tile the damage is: they are
 * judged for the first change of each file, and for every change of a payload, which only they need.
 */
const onceWhole = (path: string, nth: number): Partial<AuditOptions> => ({
  hashOnly: nth > 0 && !path.startsWith("payload/"),
})

suite("one flipped bit in each file, and each file dropped, cut, grown", { concurrency: 2 }, () => {
  for (const path of sample([...original.keys()], 5)) {
    const bytes = original.get(path) ?? new Uint8Array(0)
    const places = [0, 1, Math.floor(bytes.length / 3), Math.floor(bytes.length / 2), bytes.length - 1]
    test(`${path}: a bit at ${places.join(", ")}`, async (t) => {
      const folder = copy(t)
      for (const [nth, at] of places.entries()) {
        const changed = Uint8Array.from(bytes)
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
        writeFileSync(join(folder, path), changed)
        assertNamed(await judge(folder, onceWhole(path, nth)), path, at)
      }
    })
    test(`${path}: dropped, emptied, one byte less, one more`, async (t) => {
      const folder = copy(t)
      const changes = [new Uint8Array(0), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)])]
      for (const [nth, changed] of changes.entries()) {
        writeFileSync(join(folder, path), changed)
        assertNamed(await judge(folder, onceWhole(path, nth)), path, changed.length)
      }
      rmSync(join(folder, path))
      if (path === "checkpoint") assert.equal(await codeOf(() => judge(folder)), "NOT_FOUND")
      else assertNamed(await judge(folder, onceWhole(path, 1)), path, "dropped")
    })
  }
})

/** Nothing but that file is blamed, and for a payload its entry. */
function assertNamed(report: AuditReport, path: string, about: unknown): void {
  assert.equal(auditExit(report), 14, `${path} ${String(about)}`)
  const [, sha256] = path.split("sha256/")
  const isThere = ({ path: found, index }: Finding): boolean =>
    sha256 === undefined
      ? found === path
      : index !== undefined && parseLeaf(made.log.entries[index] ?? new Uint8Array(0)).payload.sha256 === sha256
  assert.ok(report.findings.every(isThere), `${path} ${String(about)}: ${named(report).join("; ")}`)
}

/** By size. */
const states = new Map<number, Promise<string>>()

/** A state that has seen the honest log at that size. */
async function seenAt(t: TestContext, size: number): Promise<string> {
  const first = states.get(size) ?? see(size)
  states.set(size, first)
  const state = join(tempFolder(t), "state")
  cpSync(await first, state, { recursive: true })
  return state
}

async function see(size: number): Promise<string> {
  const [state, folder] = [join(home, `state-${size}`), join(home, `log-${size}`)]
  writeLog(folder, made.log, size)
  assert.equal(auditExit(await judge(folder, { state })), 0)
  return state
}

suite("entries", { concurrency: 2 }, () => {
  const bundle = "tile/entries/001"
  const entries = (): Uint8Array[] => parseEntryBundle(original.get(bundle) ?? new Uint8Array(0), 256)
  const cases: readonly (readonly [string, (list: Uint8Array[]) => Uint8Array[], number[]])[] = [
    ["two swapped", (list) => list.with(10, list[20] as Uint8Array).with(20, list[10] as Uint8Array), [266, 276]],
    ["one twice", (list) => list.with(10, list[9] as Uint8Array), [266]],
    ["one emptied", (list) => list.with(255, new Uint8Array(0)), [511]],
    ["one of another log", (list) => list.with(0, Buffer.from("{}")), [256]],
  ]
  for (const [why, change, indexes] of sample(cases, 2)) {
    test(`${why}: the very indexes are named`, async (t) => {
      const folder = copy(t)
      writeFileSync(join(folder, bundle), formatEntryBundle(change(entries())))
      const report = await judge(folder)
      assert.deepEqual(
        report.findings.map(({ check, index }) => [check, index]),
        indexes.map((index) => ["bundle", index]),
      )
      assert.equal(report.judged, 600 - indexes.length)
    })
    test(`${why}, and the tile changed with it: the tile above tells`, async (t) => {
      const folder = copy(t)
      const changed = change(entries())
      writeFileSync(join(folder, bundle), formatEntryBundle(changed))
      writeFileSync(join(folder, "tile/0/001"), Buffer.concat(changed.map(hashLeaf)))
      const report = await judge(folder, { hashOnly: true })
      assert.equal(auditExit(report), 14)
      assert.ok(
        report.findings.some(({ check }) => check === "root"),
        named(report).join("; "),
      )
    })
  }
  test("a bundle and its tile dropped: both named, the rest is judged, the root still holds", async (t) => {
    const folder = copy(t)
    rmSync(join(folder, bundle))
    rmSync(join(folder, "tile/0/001"))
    const report = await judge(folder)
    assert.deepEqual(named(report), [`bundle ${bundle}`, "tile tile/0/001"])
    assert.deepEqual([report.entries, report.judged], [344, 344])
  })
  test("a damaged file is no statement of the log: no fork is claimed, no receipt withheld", async (t) => {
    const folder = copy(t)
    const [state, receipts] = [join(tempFolder(t), "state"), tempFolder(t)]
    assert.equal(auditExit(await judge(folder, { state })), 0)
    for (const index of [258, 300]) {
      const envelope = made.envelopes[index]
      if (envelope) writeFileSync(join(receipts, `${index}.json`), formatBundle(made.log.bundle(envelope, index, 400)))
    }
    const changed = entries()
    changed[2] = Buffer.from("{}")
    writeFileSync(join(folder, bundle), formatEntryBundle(changed))
    rmSync(join(folder, "tile/0/001"))
    const report = await judge(folder, { state, receipts })
    assert.deepEqual(
      new Set(report.findings.map(({ check, code }) => `${check} ${code}`)),
      new Set(["tile LOG_INVALID", "leaf LOG_INVALID", "root LOG_INVALID", "receipt LOG_INVALID"]),
    )
    assert.deepEqual(
      report.findings.filter(({ check }) => check === "receipt").map(({ index }) => index),
      [258],
    )
    assert.deepEqual(report.seen, { size: 600, consistent: true })
    assert.deepEqual(
      tree(state).filter((name) => name.includes("evidence")),
      [],
    )
    const smaller = await judge(folder, { state: await seenAt(t, 400) })
    assert.deepEqual(smaller.seen, { size: 400, consistent: null })
    assert.equal(
      smaller.findings.some(({ check }) => check === "consistency"),
      false,
    )
  })
  test("damage in many places: every place is named", async (t) => {
    const folder = copy(t)
    const flip = (path: string): void => {
      const bytes = Uint8Array.from(readFileSync(join(folder, path)))
      bytes[20] = (bytes[20] ?? 0) ^ 1
      writeFileSync(join(folder, path), bytes)
    }
    for (const path of ["tile/0/000", "tile/entries/001", "tile/1/000.p/2", "tile/0/002.p/88"]) flip(path)
    const report = await judge(folder)
    assert.deepEqual(
      new Set(report.findings.map(({ path }) => path)),
      new Set(["tile/0/000", "tile/entries/001", "tile/1/000.p/2", "tile/0/002.p/88"]),
    )
  })
})

suite("signed again with the log's own key", { concurrency: 2 }, () => {
  const seen = (t: TestContext): Promise<string> => seenAt(t, 600)
  function written(t: TestContext, log: TinyLog, size = log.size): string {
    const folder = join(tempFolder(t), "log")
    writeLog(folder, log, size)
    return folder
  }
  async function fork({ chain, signer, envelopes }: MadeLog, from: number, to: number): Promise<TinyLog> {
    const log = new TinyLog(chain, logKey)
    for (const envelope of envelopes.slice(2, from)) if (envelope !== null) log.publish(envelope)
    for (let at = from - 2; log.size < to; at++) log.publish(await signPublish(signer, at, 7, false, "fork"))
    return log
  }
  test("a shorter log: ROLLBACK", async (t) => {
    const report = await judge(written(t, made.log, 512), { state: await seen(t) })
    assert.deepEqual(
      report.findings.map(({ code, check }) => [code, check]),
      [["ROLLBACK", "shrunk"]],
    )
    assert.equal(auditExit(report), 14)
  })
  const forks = [
    [2, 600],
    [300, 600],
    [599, 600],
    [599, 700],
    [10, 601],
  ] as const
  for (const [from, to] of sample(forks, 3)) {
    test(`another history from entry ${from} on, ${to} entries: it contradicts what was seen`, async (t) => {
      const report = await judge(written(t, await fork(made, from, to)), { state: await seen(t) })
      assert.deepEqual(
        report.findings.map(({ code, check }) => [code, check]),
        [["LOG_INVALID", "consistency"]],
      )
    })
  }
  test("without anything seen it is one history like any other; that is what receipts are for", async (t) => {
    const folder = written(t, await fork(made, 300, 600))
    assert.equal(auditExit(await judge(folder)), 0)
    const receipts = tempFolder(t)
    const keep = (index: number, size: number): void => {
      const envelope = made.envelopes[index]
      if (envelope) writeFileSync(join(receipts, `${index}.json`), formatBundle(made.log.bundle(envelope, index, size)))
    }
    keep(5, 200)
    assert.equal(auditExit(await judge(folder, { receipts })), 0)
    keep(450, 600)
    const report = await judge(folder, { receipts })
    const [path] = [join(receipts, "450.json")]
    assert.deepEqual(
      report.findings.map(({ code, index, path: found }) => [code, index, found]),
      [
        ["WITHHELD", 450, path],
        ["LOG_INVALID", 450, path],
      ],
    )
    assert.equal(report.receipts, 2)
    assert.equal(auditExit(report), 14)
  })
  test("a shorter log: receipts of what was cut off are withheld", async (t) => {
    const receipts = tempFolder(t)
    const envelope = made.envelopes[550]
    if (envelope) writeFileSync(join(receipts, "late.json"), formatBundle(made.log.bundle(envelope, 550)))
    const report = await judge(written(t, made.log, 512), { receipts })
    assert.deepEqual(
      report.findings.map(({ code, index }) => [code, index]),
      [["WITHHELD", 550]],
    )
  })
  test("receipts that are none", async (t) => {
    const receipts = tempFolder(t)
    writeFileSync(join(receipts, "a.json"), "{}")
    const envelope = made.envelopes[5]
    if (envelope) writeFileSync(join(receipts, "b.json"), formatBundle({ envelope }))
    writeFileSync(join(receipts, "notes.txt"), "not looked at")
    const report = await judge(copy(t), { receipts })
    assert.deepEqual(
      report.findings.map(({ check, path }) => [check, path]),
      [
        ["receipt", join(receipts, "a.json")],
        ["receipt", join(receipts, "b.json")],
      ],
    )
    assert.equal(await codeOf(() => judge(clean, { receipts: join(home, "nowhere") })), "NOT_FOUND")
  })
  test("a checkpoint by another key, and one of another log", async (t) => {
    const folder = copy(t)
    const other = await makeLog({ publishes: 3 })
    writeFileSync(join(folder, "checkpoint"), other.log.note().replace("models.acme.example", "models.evil.example"))
    const report = await judge(folder)
    assert.deepEqual([report.size, named(report), auditExit(report)], [null, ["checkpoint checkpoint"], 14])
    // The same log key signs all logs of these tests: here it is the genesis that is not ours.
    const foreign = join(tempFolder(t), "log")
    writeLog(foreign, other.log)
    const judged = await judge(foreign)
    assert.ok(judged.findings.some(({ check, index }) => check === "genesis" && index === 0))
    assert.ok(judged.findings.some(({ check, index }) => check === "trust" && index === 1))
    assert.equal(auditExit(judged), 14)
  })
})

suite("intact logs that hold what should not have been logged: the rule and the index", { concurrency: 2 }, () => {
  const stranger = ed25519Signer()
  type Change = (log: TinyLog, made: MadeLog) => Promise<void> | void
  const at = 20
  const replace = (log: TinyLog, index: number, change: Partial<Leaf>): void => {
    const leaf = parseLeaf(log.entries[index] ?? new Uint8Array(0))
    const payload = log.payloads[index] ?? new Uint8Array(0)
    log.append(formatLeaf({ ...leaf, ...change }), payload)
  }
  const cases: readonly (readonly [string, string, Change, 7 | 14])[] = [
    [
      "time runs backwards",
      "time",
      async (log, { signer }) => void log.publish(await signPublish(signer, at, 7), { at: loggedAt - 1 }),
      7,
    ],
    [
      "a number is left out",
      "sequence",
      async (log, { signer }) => void log.publish(await signPublish(signer, at, 7), { seq: 9 }),
      7,
    ],
    [
      "the link is another",
      "previous",
      async (log, { signer }) => void log.publish(await signPublish(signer, at, 7), { prev: new Uint8Array(32) }),
      7,
    ],
    [
      "a version is bound again",
      "binding",
      async (log, { signer }) => void log.publish(await signPublish(signer, 3, 7, false, "other")),
      7,
    ],
    [
      "another subject than was signed",
      "subject",
      async (log, { signer }) => void log.publish(await signPublish(signer, at, 7), { subject: "7.7.7" }),
      7,
    ],
    ["nobody who may has signed", "stranger", async (log) => void log.publish(await signPublish(stranger, at, 7)), 7],
    ["a second genesis", "operation", (log) => replace(log, 0, {}), 7],
    [
      "a signature that fails",
      "signature",
      async (log, { signer }) => {
        const envelope = await signPublish(signer, at, 7)
        const signatures = envelope.signatures.map((one) => ({ ...one, sig: new Uint8Array(64) }))
        log.publish({ ...envelope, signatures })
      },
      14,
    ],
    ["bytes that are no leaf", "leaf", (log) => void log.append(Buffer.from("hello"), new Uint8Array(0)), 14],
    ["an entry of no bytes", "leaf", (log) => void log.append(new Uint8Array(0), new Uint8Array(0)), 14],
  ]
  for (const [why, rule, change, exit] of sample(cases, 2)) {
    test(`${why}: ${rule} at 20, exit ${exit}`, async (t) => {
      const small = await makeLog({ publishes: 18 })
      await change(small.log, small)
      const folder = join(tempFolder(t), "log")
      writeLog(folder, small.log)
      const own = join(tempFolder(t), "trust.json")
      writeFileSync(own, small.chain.envelopes[0] ?? "")
      const report = await judge(folder, { trust: own })
      assert.deepEqual(
        report.findings.map(({ check, index }) => [check, index]),
        [[rule, 20]],
      )
      assert.equal(auditExit(report), exit)
    })
  }
})

test("a log of many blocks is judged in threads, and damage is named as in a small one", async (t) => {
  const large = await makeLog({ publishes: 2998, models: 100, largeEvery: 500 })
  const folder = join(tempFolder(t), "log")
  writeLog(folder, large.log)
  const own = join(tempFolder(t), "trust.json")
  writeFileSync(own, large.chain.envelopes[0] ?? "")
  const done: number[] = []
  const report = await judge(folder, { trust: own, onProgress: (progress) => done.push(progress.done) })
  assert.deepEqual([report.findings, report.judged, report.models], [[], 3000, 100])
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  )
  assert.deepEqual([done.length, done.at(-1)], [12, 3000])
  const bytes = Uint8Array.from(readFileSync(join(folder, "tile/entries/005")))
  bytes[5000] = (bytes[5000] ?? 0) ^ 1
  writeFileSync(join(folder, "tile/entries/005"), bytes)
  rmSync(join(folder, "tile/0/007"))
  assert.deepEqual(
    new Set((await judge(folder, { trust: own })).findings.map(({ path }) => path)),
    new Set(["tile/entries/005", "tile/0/007"]),
  )
})

test(
  "a log that signed more than there is, however much: the audit ends, and says where",
  { timeout: 300_000 },
  async (t) => {
    const folder = copy(t)
    const size = 2 ** 52
    const text = formatCheckpoint({ origin: made.log.origin, size, root: new Uint8Array(32) })
    const { name, id } = parseVkey(logKey.vkey) ?? assert.fail()
    const note = formatNote({ text, signatures: [{ name, id, bytes: sign(null, Buffer.from(text), logKey.key) }] })
    writeFileSync(join(folder, "checkpoint"), note)
    const report = await judge(folder)
    assert.equal(auditExit(report), 14)
    assert.ok(report.findings.length < 1000 && report.entries === 512, String(report.findings.length))
    assert.match(report.findings.at(-1)?.message ?? "", /in a row/)
  },
)

test("whichever whole blocks are missing, the tiles above stand for them and the root still holds", async (t) => {
  const { log, chain } = await makeLog({ publishes: 1998 })
  const own = join(tempFolder(t), "trust.json")
  writeFileSync(own, chain.envelopes[0] ?? "")
  const folder = join(tempFolder(t), "log")
  const subsets = Array.from({ length: 15 }, (_, at) => 1 + 9 * at)
  for (const subset of sample(subsets, 2)) {
    writeLog(folder, log)
    const missing = [0, 1, 2, 3, 4, 5, 6].filter((block) => (subset >> block) % 2 === 1)
    const paths = missing.flatMap((block) => [`tile/entries/00${block}`, `tile/0/00${block}`])
    for (const path of paths) rmSync(join(folder, path))
    const { findings, entries } = await judge(folder, { trust: own, hashOnly: true })
    assert.deepEqual(findings.map(({ path }) => path).toSorted(), paths.toSorted(), String(missing))
    assert.equal(entries, 2000 - 256 * missing.length)
  }
})

test("more broken rules than are listed do not hide damage", async (t) => {
  const log = new TinyLog(made.chain, logKey)
  const stranger = ed25519Signer()
  for (let at = 0; at < 1100; at++) log.publish(await signPublish(stranger, at, 7))
  log.append(Buffer.from("hello"), new Uint8Array(0))
  const folder = join(tempFolder(t), "log")
  writeLog(folder, log)
  const report = await judge(folder)
  assert.deepEqual([report.findings.length, report.omitted, auditExit(report)], [1001, 100, 14])
})

test("what can't be read at all is an error, not a clean audit", async (t) => {
  const folder = tempFolder(t)
  assert.equal(await codeOf(() => judge(folder)), "NOT_FOUND")
  assert.equal(await codeOf(() => judge(join(folder, "nowhere"))), "NOT_FOUND")
  assert.equal(await codeOf(() => judge(copy(t), { trust: join(folder, "none.json") })), "TRUST_UNREADABLE")
  const aborted = judge(copy(t), { signal: AbortSignal.abort(new DOMException("stop", "AbortError")) })
  await assert.rejects(aborted)
})
