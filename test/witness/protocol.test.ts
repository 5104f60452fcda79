/** The tlog-witness protocol over real HTTP: every status of its text, in its order. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { connect } from "node:net"
import { test } from "node:test"
import { addLog, type WitnessConfig } from "@weighlock/registry"
import {
  addSignatures,
  cosign,
  formatAddCheckpoint,
  formatCheckpoint,
  formatNote,
  openNote,
  noteVerifier,
  openCheckpoint,
  parseNote,
  signNote,
} from "@weighlock/tlog"
import { GrownLog, logSigner } from "./grown-log.ts"
import { ask, cosignedAt, folderOf, start } from "./support.ts"

const hashOf = (origin: string): string => createHash("sha256").update(origin).digest("hex")

test("200: a log that grows is cosigned, from nothing, step by step, and again", async (t) => {
  const log = new GrownLog().grow(5)
  const before = Math.floor(Date.now() / 1000)
  const witness = await start(t, folderOf(t), [log])
  for (const [from, to] of [
    [0, 5],
    [5, 5],
    [5, 6],
    [6, 300],
    [300, 300],
    [300, 1000],
  ] as const) {
    log.grow(to - log.size)
    const reply = await ask(witness.url, await log.request(from, to))
    assert.equal(reply.status, 200, reply.body)
    assert.ok(cosignedAt(witness.vkey, await log.note(to), reply.body) >= before)
  }
})

test("200: the empty tree, and an empty tree again", async (t) => {
  const log = new GrownLog()
  const witness = await start(t, folderOf(t), [log])
  assert.equal((await ask(witness.url, await log.request(0, 0))).status, 200)
  assert.equal((await ask(witness.url, await log.request(0, 0))).status, 200)
  log.grow(3)
  assert.equal((await ask(witness.url, await log.request(0, 3))).status, 200)
})

test("409: the old size is not what was cosigned last; the answer says what is", async (t) => {
  const log = new GrownLog().grow(20)
  const witness = await start(t, folderOf(t), [log])
  const conflict = async (from: number, to: number, size: string): Promise<void> => {
    const reply = await ask(witness.url, await log.request(from, to))
    assert.deepEqual(reply, { status: 409, type: "text/x.tlog.size", body: size })
  }
  await conflict(7, 9, "0\n")
  assert.equal((await ask(witness.url, await log.request(0, 10))).status, 200)
  await conflict(0, 20, "10\n")
  await conflict(9, 20, "10\n")
  await conflict(11, 20, "10\n")
  await conflict(5, 5, "10\n")
  await conflict(0, 0, "10\n")
  assert.equal((await ask(witness.url, await log.request(10, 20))).status, 200)
})

test("422: whatever is not proven to be the same log, grown", async (t) => {
  const log = new GrownLog().grow(10)
  const fork = new GrownLog(log.signer).grow(3).grow(20, "other")
  const witness = await start(t, folderOf(t), [log])
  const refused = async (body: string): Promise<void> => {
    assert.equal((await ask(witness.url, body)).status, 422)
  }
  const submit = async (oldSize: number, proof: readonly Uint8Array[], by: GrownLog, size: number): Promise<void> =>
    await refused(formatAddCheckpoint({ oldSize, proof, checkpoint: await by.note(size) }))

  await submit(0, log.proof(3, 10), log, 10) // a proof where there is nothing to prove
  const hollow = formatCheckpoint({ origin: log.origin, size: 0, root: log.root(1) })
  const note = formatNote(await signNote(hollow, [log.signer]))
  await refused(formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: note }))

  assert.equal((await ask(witness.url, await log.request(0, 6))).status, 200)
  await submit(6, [], fork, 6) // the same size, another root
  await submit(6, fork.proof(6, 10), fork, 10) // an honest proof of the fork
  await submit(6, log.proof(6, 10), fork, 10)
  await submit(6, [], log, 10)
  await submit(6, log.proof(6, 10).slice(1), log, 10)
  await submit(6, [...log.proof(6, 10), log.root(1)], log, 10)
  await submit(6, log.proof(6, 10).toReversed(), log, 10)
  await submit(6, log.proof(5, 10), log, 10)
  await submit(6, log.proof(6, 10), log, 6) // more than is needed for the same size
  for (const [at, hash] of log.proof(6, 10).entries()) {
    const flipped = Uint8Array.from(hash)
    flipped[at] = (flipped[at] ?? 0) ^ 1
    await submit(6, log.proof(6, 10).with(at, flipped), log, 10)
  }
  assert.equal((await ask(witness.url, await log.request(6, 10))).status, 200)
})

test("two trees of one size under the log's signature: refused, and both notes are in the witness's log", async (t) => {
  const log = new GrownLog().grow(6)
  const fork = new GrownLog(log.signer).grow(6, "other")
  const errors: { seen?: string; shown?: string }[] = []
  const note = (entry: object): void => void errors.push(entry)
  const logger = { info: () => undefined, fatal: note, error: note } as unknown as NonNullable<WitnessConfig["logger"]>
  const witness = await start(t, folderOf(t), [log], { logger })
  assert.equal((await ask(witness.url, await log.request(0))).status, 200)
  assert.equal((await ask(witness.url, await fork.request(6))).status, 422)
  assert.equal(errors.length, 1)
  const both = [errors[0]?.seen ?? "", errors[0]?.shown ?? ""].map((text) =>
    openCheckpoint(text, { origin: log.origin, vkeys: [log.signer.vkey] }),
  )
  assert.deepEqual(
    both.map(({ size, root }) => [size, Buffer.from(root)]),
    [
      [6, Buffer.from(log.root())],
      [6, Buffer.from(fork.root())],
    ],
  )
})

test("403: not signed by the log; 404: a log that is not watched", async (t) => {
  const log = new GrownLog().grow(10)
  const witness = await start(t, folderOf(t), [log])
  const impostor = new GrownLog(logSigner()).grow(10)
  assert.equal((await ask(witness.url, await impostor.request(0))).status, 403)
  const foreign = new GrownLog(log.signer, "other.example/log").grow(10)
  assert.equal((await ask(witness.url, await foreign.request(0))).status, 404)
  // the log's name and key id over a signature of another tree
  const { signatures } = parseNote(await log.note(9))
  const forged = formatNote({ text: parseNote(await log.note(10)).text, signatures })
  assert.equal((await ask(witness.url, formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: forged }))).status, 403)
  // a good signature and beside it a bad one by the same key
  const poisoned = addSignatures(await log.note(10), signatures)
  assert.equal(
    (await ask(witness.url, formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: poisoned }))).status,
    403,
  )
})

test("400: what is no request", async (t) => {
  const log = new GrownLog().grow(10)
  const witness = await start(t, folderOf(t), [log])
  const good = await log.request(0)
  const bad = [
    "",
    "hello",
    good.replace("old 0", "old 00"),
    good.replace("old 0", "old"),
    good.replace("old 0", "old 11"), // larger than the checkpoint
    good.replace("old 0\n", "old 0\nnot base64\n"),
    good.replace("old 0\n\n", "old 0\n"),
    good.replace("\n10\n", "\n010\n"),
    good.replace("\n10\n", "\n9007199254740993\n"),
    good.trimEnd(),
    good.replaceAll("\n", "\r\n"),
    `old 0\n${`${"A".repeat(43)}=\n`.repeat(64)}\n${await log.note()}`,
    Uint8Array.of(...new TextEncoder().encode(good), 0xff),
  ]
  for (const body of bad) {
    assert.equal((await ask(witness.url, body)).status, 400, JSON.stringify(String(body).slice(0, 60)))
  }
  const text = formatCheckpoint({ origin: log.origin, size: 1, root: log.root(1), extension: ["x".repeat(3000)] })
  const long = formatNote(await signNote(text, [log.signer]))
  assert.equal((await ask(witness.url, formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: long }))).status, 400)
  assert.equal((await ask(witness.url, good)).status, 200)
})

test("bodies, methods, addresses, encodings", async (t) => {
  const log = new GrownLog().grow(10)
  const witness = await start(t, folderOf(t), [log])
  assert.equal((await ask(witness.url, "x".repeat(100_000))).status, 413)
  const endless = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(new Uint8Array(10_000)) })
  const chunked = await fetch(`${witness.url}/add-checkpoint`, {
    method: "POST",
    body: endless,
    duplex: "half",
  }).then(
    (response) => response.status,
    () => 413, // the witness hung up on what never ends
  )
  assert.equal(chunked, 413)
  const method = await fetch(`${witness.url}/add-checkpoint`)
  assert.deepEqual([method.status, method.headers.get("allow")], [405, "POST"])
  assert.equal((await ask(witness.url, "", "/healthz")).status, 405)
  const squeezed = await fetch(`${witness.url}/add-checkpoint`, {
    method: "POST",
    body: "x",
    headers: { "content-encoding": "gzip" },
  })
  assert.equal(squeezed.status, 415)
  for (const path of [
    "/",
    "/add-checkpoint/",
    "/Add-Checkpoint",
    "/add-checkpoint?x",
    "/%61dd-checkpoint",
    "/../add-checkpoint",
  ]) {
    assert.equal(await raw(witness.url, `POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n`), 404, path)
  }
  assert.equal(await raw(witness.url, "nonsense\r\n\r\n"), 400)
  assert.equal((await ask(witness.url, await log.request(0))).status, 200)
})

/** The status of the answer to these bytes. */
async function raw(url: string, bytes: string): Promise<number> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.end(bytes)
  let text = ""
  for await (const chunk of socket) text += String(chunk)
  return Number(text.slice(9, 12))
}

test("what was cosigned last can be read: the log's signature and the witness's, no stranger's", async (t) => {
  const log = new GrownLog().grow(10)
  const witness = await start(t, folderOf(t), [log])
  const place = `${witness.url}/${hashOf(log.origin)}/checkpoint`
  assert.equal((await fetch(place)).status, 404)
  assert.equal((await fetch(`${witness.url}/${hashOf("other.example")}/checkpoint`)).status, 404)
  const other = await cosign(parseNote(await log.note()).text, { ...logSigner(), vkey: "" }, 1).catch(() => null)
  assert.equal(other, null)
  const stranger = parseNote(formatNote(await signNote(parseNote(await log.note()).text, [logSigner("x.example")])))
  const crowded = addSignatures(await log.note(), stranger.signatures)
  await ask(witness.url, formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint: crowded }))
  const shown = await (await fetch(place)).text()
  const { verified, note } = openNote(shown, [noteVerifier(log.signer.vkey), noteVerifier(witness.vkey)])
  assert.deepEqual([verified.length, note.signatures.length], [2, 2])
})

test("two requests from one old size: one winner, whatever they bring", async (t) => {
  const log = new GrownLog().grow(10)
  const witness = await start(t, folderOf(t), [log])
  await ask(witness.url, await log.request(0, 10))
  for (let round = 0; round < 10; round++) {
    const from = log.size
    log.grow(3)
    const bodies = await Promise.all([1, 2, 3, 1, 2, 3].map((more) => log.request(from, from + more)))
    const replies = await Promise.all(bodies.map((body) => ask(witness.url, body)))
    const won = replies.filter(({ status }) => status === 200)
    assert.equal(won.length, 1)
    const sizes = new Set(replies.filter(({ status }) => status === 409).map(({ body }) => body))
    assert.equal(sizes.size, 1)
    const [size = ""] = sizes
    await ask(witness.url, await log.request(Number(size), from + 3))
  }
})

test("two trees of one size at once: never both", async (t) => {
  const log = new GrownLog().grow(10)
  const witness = await start(t, folderOf(t), [log])
  for (let round = 0; round < 10; round++) {
    const from = round === 0 ? 0 : log.size
    const fork = log.fork().grow(5, `other ${round}`)
    log.grow(5)
    const bodies = await Promise.all([log.request(from), fork.request(from), log.request(from), fork.request(from)])
    const replies = await Promise.all(bodies.map((body) => ask(witness.url, body)))
    const won = replies.flatMap(({ status }, at) => (status === 200 ? [at % 2] : []))
    assert.equal(new Set(won).size, 1, JSON.stringify(replies.map(({ status }) => status)))
    if (won[0] === 1) return // it follows the fork now, and never comes back
  }
})

test("a log's second key, and logs beside each other", async (t) => {
  const data = folderOf(t)
  const log = new GrownLog().grow(10)
  const other = new GrownLog(logSigner("b.example"), "b.example").grow(4)
  const witness = await start(t, data, [log, other])
  assert.equal((await ask(witness.url, await log.request(0))).status, 200)
  assert.equal((await ask(witness.url, await other.request(0))).status, 200)
  const rotated = new GrownLog(logSigner(), log.origin, log).grow(3)
  assert.equal((await ask(witness.url, await rotated.request(10))).status, 403)
  await addLog({ data, vkey: rotated.signer.vkey }) // while it runs
  assert.equal((await ask(witness.url, await rotated.request(10))).status, 200)
})
