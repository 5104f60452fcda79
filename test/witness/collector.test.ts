/** The log's side: cosignatures are gathered from real witnesses, and hostile ones get nowhere. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { type TestContext, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { type CollectorOptions, type CosignedCheckpoint, Gathering, WitnessCollector } from "@weighlock/registry"
import {
  cosign,
  formatCheckpoint,
  formatNote,
  formatSignatureLines,
  type NoteSigner,
  openWitnessed,
  parseAddCheckpoint,
  parseNote,
  parsePolicy,
  parseVkey,
} from "@weighlock/tlog"
import { witness as witnessKey } from "../tlog/signers.ts"
import { GrownLog } from "./grown-log.ts"
import { folderOf, start } from "./support.ts"

interface Asked {
  readonly collector: WitnessCollector
  readonly stored: CosignedCheckpoint[]
  readonly warnings: unknown[]
}

interface Named {
  readonly name: string
  readonly vkey: string
  readonly url?: string
}

function policyOf(witnesses: readonly Named[], quorum: string): ReturnType<typeof parsePolicy> {
  const lines = witnesses.map(({ name, vkey, url = "" }) => `witness ${name} ${vkey} ${url}`)
  return parsePolicy(`${lines.join("\n")}\n${quorum}\n`)
}

function collect(
  t: TestContext,
  log: GrownLog,
  policy: ReturnType<typeof parsePolicy>,
  options: Partial<CollectorOptions> & { readonly notes?: Map<number, string> } = {},
): Asked {
  const [stored, warnings]: [CosignedCheckpoint[], unknown[]] = [[], []]
  const notes = options.notes ?? new Map<number, string>()
  const collector = new WitnessCollector({
    log: { origin: log.origin, policy },
    newest: () => ({ size: log.size, note: notes.get(log.size) ?? "" }),
    consistency: async (from, to) => log.proof(from, to),
    store: async (cosigned) => void stored.push(cosigned),
    logger: { info: () => undefined, warn: (entry: unknown) => void warnings.push(entry) } as never,
    ...options,
  })
  t.after(() => collector.close())
  return { collector, stored, warnings }
}

/** Notes for every size up to `size`, as a registry has them when it commits. */
async function notesOf(log: GrownLog, size: number, from = 0): Promise<Map<number, string>> {
  const notes = new Map<number, string>()
  for (let at = from; at <= size; at++) notes.set(at, await log.note(at))
  return notes
}

async function until(done: () => boolean, what: string, ms = 150_000): Promise<void> {
  for (const end = performance.now() + ms; !done();) {
    if (performance.now() > end) assert.fail(`in vain: ${what}`)
    await sleep(10)
  }
}

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => unknown

/** A witness that does as the test says. */
async function puppet(
  t: TestContext,
  handler: Handler,
): Promise<{ url: string; asked: () => number; most: () => number }> {
  let [asked, now, most] = [0, 0, 0]
  const server = createServer((request, response) => {
    asked++
    most = Math.max(most, ++now)
    response.on("close", () => now--)
    let body = ""
    request.on("data", (chunk) => (body += String(chunk)))
    request.on("end", () => void handler(request, response, body))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: () => asked, most: () => most }
}

/** An honest one, but for what `change` makes of its answer. */
function honest(signer: NoteSigner, change: (lines: string) => string = (lines) => lines): Handler {
  return async (_request, response, body) => {
    const { text } = parseNote(parseAddCheckpoint(body).checkpoint)
    response.end(change(formatSignatureLines([await cosign(text, signer, Math.floor(Date.now() / 1000))])))
  }
}

test("two witnesses that must both sign: the quorum, and it moves with the log", async (t) => {
  const log = new GrownLog().grow(10)
  const real = [await start(t, folderOf(t), [log]), await start(t, folderOf(t), [log])]
  const policy = policyOf(
    real.map(({ vkey, url }, at) => ({ name: `W${at}`, vkey, url })),
    "group both all W0 W1\nquorum both",
  )
  const notes = await notesOf(log, 10)
  const { collector, stored } = collect(t, log, policy, { notes })
  assert.equal(collector.status().quorum, null)
  collector.poke()
  await until(() => collector.status().quorum?.size === 10, "a quorum at 10")
  assert.equal(collector.status().waiting, 0)
  assert.deepEqual(
    stored.map(({ size, quorum }) => [size, quorum]),
    [
      [10, false],
      [10, true],
    ],
  )
  const last = stored.at(-1)
  const opened = openWitnessed(last?.note ?? "", { origin: log.origin, vkeys: [log.signer.vkey], policy })
  assert.equal(opened.quorum, true)
  assert.equal(opened.freshness, last?.freshness)
  assert.ok(last?.note.includes(last.line))

  log.grow(5)
  notes.set(15, await log.note())
  collector.poke()
  assert.ok(collector.status().waiting >= 0)
  await until(() => collector.status().quorum?.size === 15, "a quorum at 15")
  assert.deepEqual(
    collector.status().witnesses.map(({ state, size, failures, error }) => ({ state, size, failures, error })),
    [0, 1].map(() => ({ state: "cosigned", size: 15, failures: 0, error: null })),
  )
})

test("a log that grows all the time is witnessed all the time, by one request a second", async (t) => {
  const log = new GrownLog().grow(1)
  const keys = [witnessKey("w0.example"), witnessKey("w1.example")]
  const puppets = [await puppet(t, honest(keys[0] ?? log.signer)), await puppet(t, honest(keys[1] ?? log.signer))]
  const policy = policyOf(
    puppets.map(({ url }, at) => ({ name: `W${at}`, vkey: keys[at]?.vkey ?? "", url })),
    "group both all W0 W1\nquorum both",
  )
  const notes = new Map([[1, await log.note()]])
  const { collector, stored } = collect(t, log, policy, { notes })
  const began = performance.now()
  const seconds = (): number => (performance.now() - began) / 1000
  const quorums = (): number => stored.filter(({ quorum }) => quorum).length
  while (seconds() < 3.5 || quorums() < 2) {
    log.grow(1)
    notes.set(log.size, await log.note())
    collector.poke()
    await sleep(5)
  }
  const met = stored.filter(({ quorum }) => quorum).map(({ size }) => size)
  const most = seconds() + 2
  assert.ok(met.length <= most, `${met.length} quorums in ${seconds()} s`)
  assert.deepEqual(
    met,
    [...new Set(met)].toSorted((a, b) => a - b),
  )
  for (const { asked, most: atOnce } of puppets)
    assert.ok(asked() <= most && atOnce() === 1, `${asked()} asked, ${atOnce()} at once`)
  assert.ok(collector.status().waiting < 3000)
})

test("a collector that knows nothing learns from the 409 where its witness is", async (t) => {
  const log = new GrownLog().grow(10)
  const real = await start(t, folderOf(t), [log])
  const policy = policyOf([{ name: "W", vkey: real.vkey, url: real.url }], "quorum W")
  const notes = await notesOf(log, 10)
  const first = collect(t, log, policy, { notes })
  first.collector.poke()
  await until(() => first.stored.length === 1, "the first cosignature")
  await first.collector.close()
  log.grow(7)
  notes.set(17, await log.note())
  const second = collect(t, log, policy, { notes })
  second.collector.poke()
  await until(() => second.stored.length === 1, "a cosignature after the restart")
  assert.equal(second.stored[0]?.size, 17)
})

test("a log that was put back, or that forked, finds its witness in the way", async (t) => {
  const log = new GrownLog().grow(10)
  const real = await start(t, folderOf(t), [log])
  const policy = policyOf([{ name: "W", vkey: real.vkey, url: real.url }], "quorum W")
  const old = log.fork()
  const fork = log.fork().grow(9, "other")
  log.grow(5)
  const first = collect(t, log, policy, { notes: await notesOf(log, 15, 15) })
  first.collector.poke()
  await until(() => first.stored.length === 1, "the cosignature")

  const restored = collect(t, old, policy, { notes: await notesOf(old, 10, 10) })
  restored.collector.poke()
  await until(() => restored.collector.status().witnesses[0]?.state === "ahead", "ahead")
  const forked = collect(t, fork, policy, { notes: await notesOf(fork, 19, 19) })
  forked.collector.poke()
  await until(() => forked.collector.status().witnesses[0]?.state === "refused", "refused")
  assert.deepEqual([restored.stored.length, forked.stored.length], [0, 0])
  assert.equal(restored.collector.status().quorum, null)
  await until(() => forked.collector.status().waiting > 0, "waiting")
  assert.equal(restored.warnings.length, 1)
})

const stranger = witnessKey("stranger.example")

for (const [what, make] of Object.entries({
  "a redirect": () => (_request, response) => response.writeHead(307, { location: "/elsewhere" }).end(),
  "no signature lines": () => (_request, response) => response.end("hello\n"),
  nothing: () => (_request, response) => response.end(""),
  "a stranger's cosignature": () => honest(stranger),
  "a changed time": (signer) =>
    honest(signer, (lines) => lines.replace(/ ([^ ]+)\n$/, (_, base64: string) => ` ${redate(base64)}\n`)),
  "a cosignature of another tree": (signer) => async (_request, response) => {
    const other = parseNote(await new GrownLog().grow(3).note()).text
    response.end(formatSignatureLines([await cosign(other, signer, 1)]))
  },
  "a cosignature without a time": (signer) => async (_request, response, body) => {
    const { text } = parseNote(parseAddCheckpoint(body).checkpoint)
    response.end(formatSignatureLines([await cosign(text, signer, 0)]))
  },
  gzip: (signer) => (request, response, body) => {
    response.setHeader("content-encoding", "gzip")
    return honest(signer)(request, response, body)
  },
  "500": () => (_request, response) => response.writeHead(500).end("at /home/witness/server.ts:12"),
  "a reset connection": () => (request) => request.socket.resetAndDestroy(),
  "a cut answer": () => (request, response) => {
    response.writeHead(200, { "content-length": "100" }).write("— half")
    setTimeout(() => request.socket.destroy(), 20)
  },
  "an endless answer": () => (_request, response) => {
    const more = setInterval(() => response.write("x".repeat(60_000)), 5)
    response.on("close", () => clearInterval(more))
  },
  "a 409 of another type": () => (_request, response) =>
    response.writeHead(409, { "content-type": "text/html" }).end("3\n"),
  "a 409 without a size": () => (_request, response) =>
    response.writeHead(409, { "content-type": "text/x.tlog.size" }).end("03\n"),
  "409 for ever": () => (_request, response, body) => {
    const { oldSize } = parseAddCheckpoint(body)
    response.writeHead(409, { "content-type": "text/x.tlog.size" }).end(`${oldSize === 0 ? 5 : 0}\n`)
  },
} satisfies Record<string, (signer: NoteSigner) => Handler>)) {
  test(`an answer that is no cosignature: ${what}`, async (t) => {
    const log = new GrownLog().grow(10)
    const signer = witnessKey("bad.example")
    const bad = await puppet(t, make(signer))
    const good = witnessKey("good.example")
    const fine = await puppet(t, honest(good))
    const policy = policyOf(
      [
        { name: "bad", vkey: signer.vkey, url: bad.url },
        { name: "good", vkey: good.vkey, url: fine.url },
      ],
      "group one any bad good\nquorum one",
    )
    const { collector, stored, warnings } = collect(t, log, policy, { notes: await notesOf(log, 10, 10) })
    collector.poke()
    await until(() => collector.status().witnesses[0]?.error !== null, "the fault is noticed")
    await until(() => collector.status().quorum?.size === 10, "the other one's quorum")
    assert.equal(collector.status().witnesses[0]?.state, "failing")
    assert.deepEqual(
      stored.map(({ vkey }) => vkey),
      [good.vkey],
    )
    assert.equal(warnings.length, 1)
    assert.ok(bad.asked() <= 3)
  })
}

/** The same cosignature, a second later. */
function redate(base64: string): string {
  const bytes = Buffer.from(base64, "base64")
  bytes[11] = (bytes[11] ?? 0) ^ 1
  return bytes.toString("base64")
}

test("a witness that never answers is given up after its time, rests, and holds up nobody", async (t) => {
  const log = new GrownLog().grow(10)
  const [slow, quick] = [witnessKey("slow.example"), witnessKey("quick.example")]
  const silent = await puppet(t, () => undefined)
  const fine = await puppet(t, honest(quick))
  const policy = policyOf(
    [
      { name: "slow", vkey: slow.vkey, url: silent.url },
      { name: "quick", vkey: quick.vkey, url: fine.url },
    ],
    "quorum quick",
  )
  const notes = await notesOf(log, 10, 10)
  const { collector, stored } = collect(t, log, policy, { notes, timeout: 300 })
  collector.poke()
  await until(() => stored.length === 1, "the quick one")
  await until(() => collector.status().witnesses[0]?.state === "failing", "the slow one is given up")
  assert.match(collector.status().witnesses[0]?.error ?? "", /300 ms/)
  const [before, began] = [silent.asked(), performance.now()]
  await sleep(3500)
  const most = before + (performance.now() - began) / 1000
  assert.ok(silent.asked() <= most, `${silent.asked()} times, ${before} before`)
  assert.equal(silent.most(), 1)
})

test("an idle log is cosigned again, so that freshness moves", async (t) => {
  const log = new GrownLog().grow(3)
  const real = await start(t, folderOf(t), [log])
  const policy = policyOf([{ name: "W", vkey: real.vkey, url: real.url }], "quorum W")
  let newest = await log.note()
  const { collector, stored } = collect(t, log, policy, {
    refresh: 1100,
    newest: () => ({ size: log.size, note: newest }),
    store: async (cosigned) => {
      stored.push(cosigned)
      newest = cosigned.note
    },
  })
  collector.poke()
  await until(() => stored.length === 3, "three cosignatures")
  const times = stored.map(({ freshness }) => freshness ?? 0)
  assert.ok((times[2] ?? 0) > (times[0] ?? 0))
  // Not one line a refresh: the newest of each witness.
  for (const { note } of stored) assert.equal(parseNote(note).signatures.length, 2)
})

test("URLs: from the policy, instead of it, in absence of it; none at all", async (t) => {
  const log = new GrownLog().grow(3)
  const [one, two, three] = [witnessKey("1.example"), witnessKey("2.example"), witnessKey("3.example")]
  const [first, second] = [await puppet(t, honest(one)), await puppet(t, honest(two))]
  const policy = policyOf(
    [
      { name: "one", vkey: one.vkey, url: "https://moved.invalid" },
      { name: "two", vkey: two.vkey },
      { name: "three", vkey: three.vkey },
    ],
    "group two-of 2 one two three\nquorum two-of",
  )
  const urls = { one: `${first.url}/prefix/`, two: second.url }
  const { collector } = collect(t, log, policy, { notes: await notesOf(log, 3, 3), urls })
  collector.poke()
  await until(() => collector.status().quorum !== null, "a quorum of two")
  const { witnesses } = collector.status()
  assert.equal(witnesses[0]?.url, `${first.url}/prefix/add-checkpoint`)
  assert.deepEqual([witnesses[2]?.url, witnesses[2]?.state], [null, "unasked"])
  for (const bad of [
    { nobody: second.url },
    { one: "ftp://x" },
    { one: "x" },
    { one: "https://u:p@x" },
    { one: "https://x/?q" },
  ]) {
    assert.throws(() => collect(t, log, policy, { urls: bad }), { code: "USAGE" })
  }
  const idle = collect(t, log, parsePolicy("quorum none\n"))
  idle.collector.poke()
  assert.deepEqual(idle.collector.status(), { quorum: null, waiting: 0, witnesses: [] })
})

test("closing gives up what is under way, at once", async (t) => {
  const log = new GrownLog().grow(3)
  const key = witnessKey("slow.example")
  const silent = await puppet(t, () => undefined)
  const policy = policyOf([{ name: "W", vkey: key.vkey, url: silent.url }], "quorum W")
  const { collector, warnings } = collect(t, log, policy, { notes: await notesOf(log, 3, 3), timeout: 3_600_000 })
  collector.poke()
  await until(() => silent.asked() === 1, "it was asked")
  await collector.close()
  assert.equal(warnings.length, 0)
  collector.poke()
  await sleep(50)
  assert.equal(silent.asked(), 1)
})

test("a cosignature that can't be stored meets no quorum", async (t) => {
  const log = new GrownLog().grow(3)
  const key = witnessKey("w.example")
  const fine = await puppet(t, honest(key))
  const policy = policyOf([{ name: "W", vkey: key.vkey, url: fine.url }], "quorum W")
  const store = async (): Promise<void> => {
    throw new Error("the disk is full")
  }
  const { collector, warnings } = collect(t, log, policy, { notes: await notesOf(log, 3, 3), store })
  collector.poke()
  await until(() => warnings.length === 1, "a warning")
  assert.equal(collector.status().quorum, null)
})

for (const [what, answer] of Object.entries({
  "is ahead": (response) => response.writeHead(409, { "content-type": "text/x.tlog.size" }).end("11\n"),
  refuses: (response) => response.writeHead(422).end("two trees of one size\n"),
} satisfies Record<string, (response: ServerResponse) => unknown>)) {
  test(`what a witness shows that ${what} is looked at, and one that shows nothing proves nothing`, async (t) => {
    const log = new GrownLog().grow(10)
    const [one, two] = [witnessKey("1.example"), witnessKey("2.example")]
    const shows = await puppet(t, (request, response) =>
      request.method === "GET" ? response.end(`shown at ${request.url}`) : answer(response),
    )
    const silent = await puppet(t, (request, response) =>
      request.method === "GET" ? response.writeHead(404).end() : answer(response),
    )
    const policy = policyOf(
      [
        { name: "one", vkey: one.vkey, url: `${shows.url}/prefix` },
        { name: "two", vkey: two.vkey, url: silent.url },
      ],
      "group both all one two\nquorum both",
    )
    const [seen, proofs]: [string[], string[]] = [[], []]
    const { collector } = collect(t, log, policy, {
      notes: await notesOf(log, 10, 10),
      disproof: async (note) => (seen.push(note) < 2 ? null : "so it is"),
      onDisproved: (proof) => void proofs.push(proof),
    })
    assert.equal(await collector.disproof(), null)
    const hash = createHash("sha256").update(log.origin).digest("hex")
    assert.deepEqual(seen, [`shown at /prefix/${hash}/checkpoint`])
    collector.poke()
    await until(() => proofs.length === 1, "the proof")
    assert.match(proofs[0] ?? "", /one shows that so it is/)
  })
}

test("more cosignatures than a note can hold: those that fit stay", () => {
  const signers = Array.from({ length: 200 }, (_, at) => witnessKey(`w.example/${at}`))
  const policy = policyOf([{ name: "w", vkey: signers[0]?.vkey ?? "" }], "quorum w")
  const gathering = new Gathering(policy)
  const origin = "log.example/x"
  const text = formatCheckpoint({ origin, size: 3, root: new Uint8Array(32) })
  const target = {
    size: 3,
    note: formatNote({ text, signatures: [{ name: origin, id: "00000001", bytes: new Uint8Array(64) }] }),
  }
  const add = ({ vkey }: NoteSigner): number => {
    const { name = "", id = "" } = parseVkey(vkey) ?? {}
    const { note } = gathering.add(target, vkey, { time: 5, signature: { name, id, bytes: new Uint8Array(72) } })
    return parseNote(note).signatures.length
  }
  const held = signers.map((signer) => {
    try {
      return add(signer)
    } catch {
      return -1
    }
  })
  const full = held.indexOf(-1)
  assert.ok(full > 1)
  assert.equal(add(signers[0] as NoteSigner), full + 1)
})
