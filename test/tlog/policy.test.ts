import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  addSignatures,
  cosign,
  formatVkey,
  judgeQuorum,
  type NoteSigner,
  openWitnessed,
  parsePolicy,
  parseVkey,
  parseWitnessPolicy,
  type Policy,
  type Quorum,
  TlogError,
} from "@weighlock/tlog"
import { mangled } from "./manglings.ts"
import { bodyOf, logSigner, origin, quantumWitness, signed, witness } from "./signers.ts"

const names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
const signers = new Map<string, NoteSigner>(names.map((name) => [name, witness(`${name}.example`)]))
const vkeyOf = (name: string): string => signers.get(name)?.vkey ?? ""
const lines = names.map((name) => `witness ${name} ${vkeyOf(name)}`).join("\n")
const nested = `${lines}
group X-witnesses 2 X1 X2 X3
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`

function judge(policy: string, times: Record<string, number>): number | null | false {
  const entries = Object.entries(times).map(([name, time]) => [vkeyOf(name), time] as const)
  const { met, freshness } = judgeQuorum(parsePolicy(policy), new Map(entries))
  return met && freshness
}

test("the example of the specification", () => {
  assert.equal(judge(nested, { X1: 10, X2: 20, Y1: 30 }), 10)
  assert.equal(judge(nested, { X1: 10, X2: 20, X3: 15, Y1: 12, Y3: 3 }), 12)
  assert.equal(judge(nested, { X1: 10, X2: 20, X3: 30, Y1: 50 }), 20)
  for (const few of [{}, { X1: 1, Y1: 1 }, { X1: 1, X2: 1, X3: 1 }, { Y1: 1, Y2: 1, Y3: 1 }]) {
    assert.equal(judge(nested, few), false)
  }
})

test("quorums: none, one witness, any, all, thresholds", () => {
  assert.equal(judge("quorum none\n", {}), null)
  assert.equal(judge(`${lines}\nquorum none\n`, { X1: 1 }), null)
  assert.equal(judge(`${lines}\nquorum X1\n`, { X1: 7, X2: 9 }), 7)
  assert.equal(judge(`${lines}\nquorum X1\n`, { X2: 9 }), false)
  assert.equal(judge(`${lines}\nquorum X1\n`, { X1: 0 }), 0)
  assert.equal(judge(`${lines}\ngroup g any X1 X2\nquorum g\n`, { X1: 3, X2: 5 }), 5)
  assert.equal(judge(`${lines}\ngroup g all X1 X2\nquorum g\n`, { X1: 3, X2: 5 }), 3)
  assert.equal(judge(`${lines}\ngroup g 2 X1 X2 X3\nquorum g\n`, { X1: 3, X2: 5, X3: 4 }), 4)
  assert.equal(judge(`${lines}\ngroup g 1 X1\nquorum g\n`, { X1: 3 }), 3)
})

/** The definition, word for word: the largest t such that the cosignatures dated t or later meet the quorum. */
function freshnessByDefinition({ quorum }: Policy, times: ReadonlyMap<string, number>): number | null {
  const meets = (node: Quorum, from: number): boolean =>
    "vkey" in node
      ? (times.get(node.vkey) ?? -1) >= from
      : node.members.filter((member) => meets(member, from)).length >= node.threshold
  const dates = [...times.values()].toSorted((a, b) => b - a)
  return quorum === null ? null : (dates.find((time) => meets(quorum, time)) ?? null)
}

test("freshness is what its definition says", () => {
  const policies = [nested, `${lines}\ngroup a 2 X1 X2 Y1\ngroup b 1 X3 a\ngroup c 2 b Y2 Y3\nquorum c\n`]
  const times = fc.uniqueArray(fc.tuple(fc.constantFrom(...names), fc.nat(9)), { selector: ([name]) => name })
  fc.assert(
    fc.property(fc.constantFrom(...policies), times, (text, dated) => {
      const policy = parsePolicy(text)
      const byKey = new Map(dated.map(([name, time]) => [vkeyOf(name), time]))
      const { met, freshness } = judgeQuorum(policy, byKey)
      assert.equal(freshness, freshnessByDefinition(policy, byKey))
      assert.equal(met, freshness !== null)
    }),
  )
})

test("white space, comments, URLs, order, keys of both kinds, names of any script", () => {
  const log = logSigner()
  const policy = parsePolicy(
    [
      "# a comment\twith a tab",
      "",
      "   \t ",
      `\twitness  K\t${vkeyOf("X1")}  https://w.example/prefix `,
      `witness \u212a ${quantumWitness("q.example").vkey}`,
      " # another",
      "quorum K",
      `witness later ${vkeyOf("X2")}`,
      `log ${log.vkey} https://log.example`,
      "",
    ].join("\n"),
  )
  assert.deepEqual(policy.logs, [{ vkey: log.vkey, url: "https://log.example" }])
  assert.deepEqual(
    policy.witnesses.map(({ name }) => name),
    ["K", "\u212a", "later"],
  )
  assert.equal(policy.witnesses[0]?.url, "https://w.example/prefix")
})

test("32 witnesses in 32 groups", () => {
  const many = Array.from({ length: 32 }, (_, at) => `witness w${at} ${witness(`${at}.example`).vkey}`)
  const groups = many.map((_, at) => `group g${at} any w${at}${at > 0 ? ` g${at - 1}` : ""}`)
  assert.equal(parsePolicy([...many, ...groups, "quorum g31", ""].join("\n")).witnesses.length, 32)
})

test("policies that are refused", () => {
  const [log, x1] = [logSigner(), vkeyOf("X1")]
  const { publicKey } = parseVkey(x1) ?? { publicKey: new Uint8Array(32) }
  const refused = [
    "",
    "\n",
    "quorum none",
    "quorum\n",
    "quorum none none\n",
    "quorum none\nquorum none\n",
    "quorum nobody\n",
    "quorum None\n",
    "Quorum none\n",
    "quorum none\r\n",
    "quorum\u00a0none\n",
    "quorum none\u0000\n",
    "quorum none\u007f\n",
    "quorum none\ud800\n",
    "\ufeffquorum none\n",
    "quorum none # comment\n",
    "unknown line\nquorum none\n",
    `${lines}\n`,
    `quorum X1\n${lines}\n`,
    `witness\nquorum none\n`,
    `witness X1\nquorum none\n`,
    `witness X1 ${x1} https://w.example extra\nquorum none\n`,
    `witness none ${x1}\nquorum none\n`,
    `witness X1 ${x1}\nwitness X2 ${x1}\nquorum none\n`,
    `witness X1 ${x1}\nwitness X2 ${formatVkey("another-name", publicKey, 4)}\nquorum none\n`,
    `witness X1 ${x1}\nwitness X1 ${vkeyOf("X2")}\nquorum none\n`,
    `witness X1 ${log.vkey}\nquorum none\n`,
    `witness X1 ${formatVkey("weak", new Uint8Array(32), 4)}\nquorum none\n`,
    `log ${x1}\nquorum none\n`,
    `log ${log.vkey}\nlog ${log.vkey}\nquorum none\n`,
    `log ${log.vkey} https://log.example extra\nquorum none\n`,
    `${lines}\ngroup g\nquorum g\n`,
    `${lines}\ngroup g any\nquorum g\n`,
    `${lines}\ngroup g all\nquorum g\n`,
    `${lines}\ngroup g 0 X1\nquorum g\n`,
    `${lines}\ngroup g -1 X1\nquorum g\n`,
    `${lines}\ngroup g 2 X1\nquorum g\n`,
    `${lines}\ngroup g 01 X1\nquorum g\n`,
    `${lines}\ngroup g 0x1 X1\nquorum g\n`,
    `${lines}\ngroup g 1.0 X1\nquorum g\n`,
    `${lines}\ngroup g some X1\nquorum g\n`,
    `${lines}\ngroup g any X1 X1\nquorum g\n`,
    `${lines}\ngroup g any X1\ngroup h any X1\nquorum h\n`,
    `${lines}\ngroup g any g\nquorum g\n`,
    `${lines}\ngroup g any none\nquorum g\n`,
    `${lines}\ngroup g any h\ngroup h any X1\nquorum g\n`,
    `${lines}\ngroup X1 any X2\nquorum X1\n`,
    `${lines}\ngroup none any X2\nquorum none\n`,
    `quorum none\n${" ".repeat(300_000)}\n`,
  ]
  for (const bad of refused) {
    assert.throws(() => parsePolicy(bad), { code: "MALFORMED" }, JSON.stringify(bad.slice(-200)))
  }
  assert.throws(() => parseWitnessPolicy(`log ${log.vkey}\nquorum none\n`), { code: "MALFORMED" })
  assert.equal(parseWitnessPolicy("quorum none\n").quorum, null)
})

test("every mangled policy is refused with a code, or is a policy", () => {
  const text = `witness X1 ${vkeyOf("X1")} https://x\nwitness X2 ${vkeyOf("X2")}\ngroup g 2 X1 X2\nquorum g\n`
  for (const bad of mangled(text)) {
    try {
      assert.equal(typeof parsePolicy(bad), "object")
    } catch (error) {
      assert.ok(error instanceof TlogError && error.code === "MALFORMED", `${JSON.stringify(bad)}: ${String(error)}`)
    }
  }
})

test("a checkpoint as its policy sees it: who, when, enough, how fresh", async () => {
  const log = logSigner()
  const opened = { origin, vkeys: [log.vkey], policy: parsePolicy(nested) }
  const bare = await signed(bodyOf(42), log)
  assert.deepEqual(
    { ...openWitnessed(bare, opened), checkpoint: 0 },
    { checkpoint: 0, cosignatures: [], quorum: false, freshness: null },
  )

  const by = async (name: string, time: number) => cosign(bodyOf(42), signers.get(name) ?? witness(name), time)
  const some = addSignatures(bare, [await by("X1", 10), await by("Y2", 40), await by("stranger", 99)])
  const half = openWitnessed(some, opened)
  assert.equal(half.quorum, false)
  assert.equal(half.freshness, null)
  assert.deepEqual(half.cosignatures, [
    { name: "X1", vkey: vkeyOf("X1"), time: 10 },
    { name: "Y2", vkey: vkeyOf("Y2"), time: 40 },
  ])

  const enough = openWitnessed(addSignatures(some, [await by("X3", 30), await by("X1", 20), await by("X1", 5)]), opened)
  assert.equal(enough.checkpoint.size, 42)
  assert.equal(enough.quorum, true)
  assert.equal(enough.freshness, 20)

  const none = openWitnessed(some, { ...opened, policy: parsePolicy("quorum none\n") })
  assert.deepEqual([none.quorum, none.freshness, none.cosignatures], [true, null, []])
})

test("cosignatures without the log's own signature, and a witness's that fails", async () => {
  const log = logSigner()
  const opened = { origin, vkeys: [log.vkey], policy: parsePolicy(`${lines}\ngroup g any X1 X2\nquorum g\n`) }
  const x1 = signers.get("X1") ?? log
  const cosignature = await cosign(bodyOf(42), x1, 10)
  const byOther = addSignatures(await signed(bodyOf(42), logSigner("other.example")), [cosignature])
  assert.throws(() => openWitnessed(byOther, opened), { code: "SIGNATURE_INVALID" })
  const elsewhere = addSignatures(await signed(bodyOf(43), log), [cosignature])
  assert.throws(() => openWitnessed(elsewhere, opened), { code: "SIGNATURE_INVALID" })
  const redated = { ...cosignature, bytes: Uint8Array.from(cosignature.bytes) }
  redated.bytes[7] = 11
  const later = addSignatures(await signed(bodyOf(42), log), [redated])
  assert.throws(() => openWitnessed(later, opened), { code: "SIGNATURE_INVALID" })
  assert.equal(openWitnessed(later, { ...opened, policy: parsePolicy("quorum none\n") }).quorum, true)
})

/** `all` of so many, of which every witness cosigns, beside 16 keys of the log. */
async function largest(count: number, make: (at: number) => NoteSigner): Promise<boolean> {
  const all = Array.from({ length: count }, (_, at) => make(at))
  const words = all.map((_, at) => `w${at}`)
  const policy = parsePolicy(
    `${all.map(({ vkey }, at) => `witness w${at} ${vkey}\n`).join("")}group g all ${words.join(" ")}\nquorum g\n`,
  )
  const logs = Array.from({ length: 16 }, () => logSigner())
  const note = await signed(bodyOf(42), ...logs)
  const cosignatures = await Promise.all(all.map((by) => cosign(bodyOf(42), by, 7)))
  const vkeys = logs.map(({ vkey }) => vkey)
  return openWitnessed(addSignatures(note, cosignatures), { origin, vkeys, policy }).quorum
}

test("a policy that can be written can be met: 64 witnesses, and as many of ML-DSA-44 as fit in a checkpoint", async () => {
  assert.equal(await largest(64, (at) => witness(`w${at}.example`)), true)
  await assert.rejects(
    largest(65, (at) => witness(`w${at}.example`)),
    { code: "MALFORMED" },
  )
  assert.equal(await largest(17, (at) => quantumWitness(`w${at}.example`)), true)
  await assert.rejects(
    largest(18, (at) => quantumWitness(`w${at}.example`)),
    { code: "MALFORMED" },
  )
})

test("a witness whose cosignature no checkpoint can hold, or no one can make, is refused", () => {
  const [short, long] = ["w".repeat(255), "w".repeat(256)]
  parsePolicy(`witness w ${quantumWitness(short).vkey}\nquorum w\n`)
  parsePolicy(`witness w ${witness(long).vkey}\nquorum w\n`)
  for (const by of [quantumWitness(long), witness("w".repeat(60_000))]) {
    assert.throws(() => parsePolicy(`witness w ${by.vkey}\nquorum none\n`), { code: "MALFORMED" })
  }
})

test("one witness's many cosignatures are one witness", async () => {
  const log = logSigner()
  const opened = { origin, vkeys: [log.vkey], policy: parsePolicy(`${lines}\ngroup g 2 X1 X2\nquorum g\n`) }
  const x1 = signers.get("X1") ?? log
  const many = await Promise.all([1, 2, 3, 4].map((time) => cosign(bodyOf(42), x1, time)))
  const note = addSignatures(await signed(bodyOf(42), log), many)
  assert.equal(openWitnessed(note, opened).quorum, false)
  assert.deepEqual(openWitnessed(note, opened).cosignatures, [{ name: "X1", vkey: x1.vkey, time: 4 }])
})

test("ML-DSA-44 witnesses count", async () => {
  const [log, quantum] = [logSigner(), quantumWitness("q.example")]
  const opened = { origin, vkeys: [log.vkey], policy: parsePolicy(`witness Q ${quantum.vkey}\nquorum Q\n`) }
  const note = addSignatures(await signed(bodyOf(42), log), [await cosign(bodyOf(42), quantum, 12)])
  assert.deepEqual([openWitnessed(note, opened).quorum, openWitnessed(note, opened).freshness], [true, 12])
})
