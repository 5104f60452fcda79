/** A registry whose log grows while it is audited is not accused; one that makes things up is, and is not read for ever. */
import assert from "node:assert/strict"
import { test, type TestContext } from "node:test"
import { formatBundle, parseStatement, ReplayedHistory } from "@weighlock/manifest"
import { type MadeLog, makeLog } from "../support/log-folder.ts"
import { tempFolder } from "../support/temp.ts"
import { json, startTiny, type TinyRegistry } from "./tiny-registry.ts"

interface Found {
  readonly code: string | null
  readonly messages: readonly string[]
}
interface Caps {
  readonly surplus: number
  readonly newer: number
}

/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return, typescript/no-unsafe-argument -- what is not exported has no types here */
const own = (name: string): Promise<any> => import(new URL(`../../packages/client/src/${name}`, import.meta.url).href)

/** Nothing was published when the audit began, and 12 versions of 3 models when it looks at the lists. */
async function compare(
  t: TestContext,
  caps: Caps,
  over: TinyRegistry["over"] = () => null,
  given: MadeLog | null = null,
): Promise<Found> {
  const made = given ?? (await makeLog({ publishes: 12, models: 3 }))
  const peer = await startTiny(t, made)
  peer.over = over
  const [{ LiveCheck }, { OneHistory }, { Findings }] = await Promise.all(
    ["audit/live.ts", "audit/live-bundle.ts", "audit/finding.ts"].map(own),
  )
  const [{ openHead }, { LogReader }, { Seen }, { Transport }] = await Promise.all(
    ["log-head.ts", "log-reader.ts", "seen.ts", "transport.ts"].map(own),
  )
  const { chain: trustChain, log } = made
  const transport = new Transport({ registry: peer.url })
  t.after(() => transport.close())
  const findings = new Findings()
  const view = { trustChain, seen: new Seen(tempFolder(t), trustChain), log: new LogReader(transport) }
  const history = new OneHistory(view, openHead(Buffer.from(log.note(2)), trustChain))
  const live = new LiveCheck(transport, trustChain, findings, history, caps)
  const code = await live.finish(new ReplayedHistory(trustChain), 2, 0, true).then(
    () => null,
    (error: { code: string }) => error.code,
  )
  return { code, messages: findings.all.map(({ message }: { message: string }) => message) }
}
/* oxlint-enable */

test("however much is published while an audit runs, nothing is found", async (t) => {
  assert.deepEqual(await compare(t, { surplus: 1, newer: 1000 }), { code: null, messages: [] })
})

test("more than is looked at: no finding, and an audit that did not finish", async (t) => {
  assert.deepEqual(await compare(t, { surplus: 1, newer: 8 }), { code: "UNAVAILABLE", messages: [] })
})

test("what was made up is found, up to the cap; then the audit did not finish either", async (t) => {
  const versions = Array.from({ length: 9 }, (_, at) => ({ version: `6.6.${at}`, manifest: "ab".repeat(32) }))
  const listed = versions.map((one) => ({ ...one, createdAt: "2026-11-23T12:00:00Z" }))
  const over: TinyRegistry["over"] = (path) =>
    path === "api/v1/models/acme/model-0" ? json({ versions: listed }) : null
  const all = await compare(t, { surplus: 9, newer: 1000 }, over)
  assert.deepEqual([all.code, all.messages.length], [null, 9])
  for (const message of all.messages) assert.match(message, /^acme\/model-0@6\.6\.\d is listed, and /)
  const some = await compare(t, { surplus: 3, newer: 1000 }, over)
  assert.equal(some.code, "UNAVAILABLE")
  assert.ok(some.messages.length >= 4, some.messages.join())
})

for (const [what, answer, expected] of [
  ["without a version", json({ versions: [] }), /acme\/made-\d is in the list of models, and has no version/],
  ["whose versions are not to be had", { status: 404 }, /not found/],
] as const) {
  test(`models that were made up, ${what}: each is a finding`, async (t) => {
    const models = Array.from({ length: 5 }, (_, at) => ({ model: `acme/made-${at}`, versions: 1 }))
    const over: TinyRegistry["over"] = (path) => {
      if (path === "api/v1/models") return json({ models })
      return path.startsWith("api/v1/models/acme/made-") ? answer : null
    }
    const all = await compare(t, { surplus: 5, newer: 1000 }, over)
    assert.deepEqual([all.code, all.messages.length], [null, 5])
    for (const message of all.messages) assert.match(message, expected)
    const some = await compare(t, { surplus: 3, newer: 1000 }, over)
    assert.deepEqual([some.code, some.messages.length], ["UNAVAILABLE", 4])
  })
}

test("a version that was made up, answered with one that was published: found", async (t) => {
  const made = await makeLog({ publishes: 12, models: 3 })
  const envelope = made.envelopes[3]
  assert.ok(envelope)
  const { digest: manifest } = parseStatement(envelope.payload)
  const versions = [{ version: "6.6.6", manifest, createdAt: "2026-11-23T12:00:00Z" }]
  const over: TinyRegistry["over"] = (path) => {
    if (path === "api/v1/models/acme/model-0") return json({ versions })
    return path.endsWith("/6.6.6") ? { body: formatBundle(made.log.bundle(envelope, 3)) } : null
  }
  const { code, messages } = await compare(t, { surplus: 5, newer: 1000 }, over, made)
  assert.deepEqual([code, messages], [null, ["acme/model-0@6.6.6 is listed, and was never logged"]])
})
