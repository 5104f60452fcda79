/** How `weighlock audit` ends: 0 clean, 7 a rule was broken, 14 the log itself; the worst wins. And how it says so. */
import assert from "node:assert/strict"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { after, test } from "node:test"
import { formatBundle, type Leaf } from "@weighlock/manifest"
import { startTiny } from "../client/tiny-registry.ts"
import { Cli } from "../support/cli.ts"
import { makeLog, signPublish, writeLog } from "../support/log-folder.ts"
import { loggedAt, TinyLog } from "../support/tiny-log.ts"
import { logKey } from "../support/trust.ts"

const cli = new Cli()
after(() => cli.close())
const made = await makeLog({ publishes: 300 })
writeFileSync(cli.path("trust.json"), made.chain.envelopes[0] ?? "")
cli.env["WEIGHLOCK_TRUST"] = cli.path("trust.json")

interface Report {
  readonly clean: boolean
  readonly size: number
  readonly findings: readonly { readonly [key: string]: unknown }[]
  readonly receipts?: unknown
  readonly incomplete?: string
}

/** Every audit looks as if for the first time: what one has seen is not the next one's matter. */
async function judge(...argv: string[]): Promise<{ code: number; report: Report; text: string }> {
  const once = async (...more: string[]): Promise<{ code: number; stdout: string }> => {
    cli.env["WEIGHLOCK_HOME"] = cli.path(`home-${Math.random()}`)
    return await cli.run("audit", ...argv, ...more)
  }
  const { code, stdout } = await once("--json")
  const text = await once()
  assert.equal(text.code, code)
  return { code, report: JSON.parse(stdout) as Report, text: text.stdout }
}

/** 300 publishes, then one whose leaf says what it should not. */
async function brokenRule(folder: string, changes: Partial<Leaf>): Promise<string> {
  const log = new TinyLog(made.chain, logKey)
  for (const envelope of made.envelopes) if (envelope !== null) log.publish(envelope)
  log.publish(await signPublish(made.signer, 300, 7), changes)
  writeLog(cli.path(folder), log)
  return cli.path(folder)
}

function flip(folder: string, path: string, at: number): void {
  const bytes = readFileSync(cli.path(folder, path))
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(cli.path(folder, path), bytes)
}

test("0: nothing found", async () => {
  writeLog(cli.path("clean"), made.log)
  const { code, report, text } = await judge("clean")
  assert.equal(code, 0)
  assert.deepEqual([report.clean, report.size, report.findings], [true, 302, []])
  assert.match(text, /^clean: models\.acme\.example\/log, 302 entries, root /)
})

test("7: the log is whole, and holds what it should not", async () => {
  const { code, report, text } = await judge(await brokenRule("broken", { seq: 7 }))
  assert.equal(code, 7)
  assert.equal(report.clean, false)
  const [finding, ...more] = report.findings
  assert.equal(more.length, 0)
  assert.deepEqual([finding?.["index"], finding?.["rule"], finding?.["code"]], [302, "sequence", "RULE_BROKEN"])
  assert.equal(finding?.["kind"], "rule")
  assert.match(text, /^index 302 {2}sequence {2}RULE_BROKEN {2}\S.*\n1 finding: /)
})

test("14 wins over 7; findings come in the order of the log", async () => {
  await brokenRule("both", { at: loggedAt - 1 })
  flip("both", "tile/entries/001.p/47", 40)
  const { code, report, text } = await judge("both")
  assert.equal(code, 14)
  assert.deepEqual(new Set(report.findings.map(({ kind }) => kind)), new Set(["log", "rule"]))
  const indexes = report.findings.flatMap(({ index }) => (typeof index === "number" ? [index] : []))
  assert.deepEqual(
    indexes,
    indexes.toSorted((a, b) => a - b),
  )
  assert.match(text, /^index 256 tile\/entries\/001\.p\/47 +bundle +LOG_INVALID /)
})

test("hashes alone find damage, and not what only a rule forbids", async () => {
  assert.equal((await judge("both", "--hash-only")).code, 14)
  const { code, text } = await judge("broken", "--hash-only")
  assert.equal(code, 0)
  assert.match(text, /neither signatures nor rules were looked at/)
})

test("a receipt that the log no longer holds is WITHHELD, and counted", async () => {
  mkdirSync(cli.path("receipts"))
  const envelope = made.envelopes[301]
  assert.ok(envelope)
  writeFileSync(cli.path("receipts", "a.json"), formatBundle(made.log.bundle(envelope, 301)))
  assert.deepEqual((await judge("clean", "--receipts", "receipts")).report.receipts, { checked: 1, withheld: 0 })
  writeLog(cli.path("shorter"), made.log, 300)
  const { code, report } = await judge("shorter", "--receipts", "receipts")
  assert.equal(code, 14)
  assert.deepEqual(report.receipts, { checked: 1, withheld: 1 })
  assert.equal(report.findings[0]?.["code"], "WITHHELD")
})

test("a registry that stops answering takes back nothing: what was found is said, and that it is not all", async (t) => {
  const peer = await startTiny(t, made)
  peer.over = (path) => {
    if (path === "log/tile/0/000") return { body: Buffer.alloc(8192, 7) }
    return path.startsWith("log/tile/entries/001") ? { status: 503 } : null
  }
  const { code, report, text } = await judge(peer.url, "--no-live")
  assert.equal(code, 14)
  assert.deepEqual([report.clean, report.findings.length, typeof report.incomplete], [false, 1, "string"])
  assert.match(text, /^index 0 tile\/0\/000 .*\n1 finding, and not all was looked at: .*\n(?: .*\n)* {2}stopped {4}\S/)
})

test("a folder that holds another log says whose it is not", async () => {
  const other = await makeLog({ publishes: 1 })
  writeLog(cli.path("other"), other.log)
  writeFileSync(cli.path("other.json"), other.chain.envelopes[0] ?? "")
  assert.equal((await judge("other")).code, 14)
  assert.equal((await judge("other", "--trust", cli.path("other.json"))).code, 0)
})

test("what is not there is an error, not a finding", async () => {
  mkdirSync(cli.path("empty"))
  for (const place of ["empty", "nowhere", "trust.json"])
    assert.deepEqual(await cli.refusal("audit", place), { exit: 3, code: "NOT_FOUND" })
})
