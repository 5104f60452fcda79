/** The file that remembers what was seen of the log: damaged, unwritable, fought over by many processes. */
import assert from "node:assert/strict"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { after, suite, test, type TestContext } from "node:test"
import { fetchModel, logHead, publishModel, receiptBytes } from "@weighlock/client"
import { formatCheckpoint, openCheckpoint, parseNote } from "@weighlock/tlog"
import { openTrustChain } from "@weighlock/manifest"
import { flipByte, made } from "../support/hostile.ts"
import { type Client, makeHistories, newClient } from "../support/forked.ts"
import { model, signFolder } from "../support/published.ts"
import { codeOf, smallDisk, tempFolder } from "../support/temp.ts"
import { some } from "../support/thorough.ts"

const histories = await makeHistories({ after } as unknown as TestContext)
const { main, older, fork, forkReceipt, world } = histories
const { current, roots } = openTrustChain([readFileSync(world.trust)], { by: "file" })
const newest = `${model}@1.0.4`
const folderOf = ({ options }: Client): string => join(options.state, "seen", roots[0]?.digest ?? "")
const names = (client: Client): string[] =>
  existsSync(folderOf(client)) ? readdirSync(folderOf(client)).filter((name) => name.endsWith(".checkpoint")) : []
const nameOf = (size: number): string => `${String(size).padStart(16, "0")}.checkpoint`

async function seen(t: TestContext): Promise<{ client: Client; path: string; note: string }> {
  const client = await newClient(t, histories)
  await logHead(client.options)
  const path = join(folderOf(client), nameOf(7))
  return { client, path, note: readFileSync(path, "utf8") }
}

suite("garbage is not an empty state", { concurrency: 4 }, () => {
  const damages: readonly (readonly [string, (path: string, note: string) => void])[] = [
    ["nothing", (path) => writeFileSync(path, "")],
    ["the first half", (path, note) => writeFileSync(path, note.slice(0, note.length / 2))],
    ["one flipped bit in the text", (path, note) => writeFileSync(path, flipByte(Buffer.from(note), 5))],
    [
      "one flipped bit in the signature",
      (path, note) => writeFileSync(path, flipByte(Buffer.from(note), note.length - 20)),
    ],
    ["one byte more", (path, note) => writeFileSync(path, `${note}\n`)],
    ["no signature", (path, note) => writeFileSync(path, `${parseNote(note).text}\n`)],
    ["zeros", (path, note) => writeFileSync(path, Buffer.alloc(note.length))],
    ["70 kB", (path, note) => writeFileSync(path, note + "x".repeat(70_000))],
    ["a checkpoint of another size", (path) => renameSync(path, path.replace(nameOf(7), nameOf(9)))],
    ["a file that no size is called", (path) => renameSync(path, path.replace(nameOf(7), "7.checkpoint"))],
    ["a folder", (path) => (rmSync(path), mkdirSync(path))],
    ["a link to where it lies", (path) => (renameSync(path, `${path}.real`), symlinkSync(`${path}.real`, path))],
    [
      "an unsigned checkpoint of a smaller log beside it",
      (path) =>
        writeFileSync(
          path.replace(nameOf(7), nameOf(3)),
          formatCheckpoint({ origin: current.log.origin, size: 3, root: new Uint8Array(32) }),
        ),
    ],
  ]
  for (const [why, damage] of damages) {
    test(`STATE_DAMAGED: ${why}`, async (t) => {
      const { client, path, note } = await seen(t)
      damage(path, note)
      const before = names(client)
      assert.equal(await codeOf(() => fetchModel(newest, client.options)), "STATE_DAMAGED")
      assert.equal(await codeOf(() => logHead(client.options)), "STATE_DAMAGED")
      assert.deepEqual(names(client), before)
    })
  }
  test("a publish says so before it sends anything", async (t) => {
    const { client, path } = await seen(t)
    writeFileSync(path, "?")
    const envelope = await signFolder(histories.source, [world.signer], { version: "9.0.0" })
    const asked = client.proxy.seen.length
    assert.equal(await codeOf(() => publishModel(histories.source, envelope, client.options)), "STATE_DAMAGED")
    assert.equal(client.proxy.seen.length, asked)
  })
  test("what a process left that died while it wrote is no state, and in nobody's way", async (t) => {
    const { client } = await seen(t)
    writeFileSync(join(folderOf(client), ".0123456789abcdef.tmp"), "half")
    assert.equal((await fetchModel(newest, client.options)).manifest.version, "1.0.4")
  })
})

suite("a state that can't be kept", () => {
  test("a file where the folder should be: STATE_UNUSABLE, and nothing is loaded", async (t) => {
    const client = await newClient(t, histories)
    writeFileSync(client.options.state, "")
    assert.equal(await codeOf(() => fetchModel(newest, client.options)), "STATE_UNUSABLE")
    assert.equal(
      client.proxy.seen.some(({ isBlob }) => isBlob),
      false,
    )
  })
  test("a folder that others may write: STATE_UNUSABLE", { skip: process.platform === "win32" }, async (t) => {
    const client = await newClient(t, histories)
    client.show(older)
    await logHead(client.options)
    client.show(main)
    chmodSync(folderOf(client), 0o777)
    assert.equal(await codeOf(() => logHead(client.options)), "STATE_UNUSABLE")
    chmodSync(folderOf(client), 0o700)
    assert.equal((await logHead(client.options)).checkpoint.size, 7)
  })
  test("a full disk: STATE_UNUSABLE, and what was seen before is still there", async (t) => {
    const disk = smallDisk(t, "64k")
    if (disk === null) return
    const client = await newClient(t, histories)
    const options = { ...client.options, state: join(disk, "state") }
    client.show(older)
    await logHead(options)
    client.show(main)
    let count = 0
    try {
      for (;;) writeFileSync(join(disk, `filler${count++}`), Buffer.alloc(4096))
    } catch {
      // That is what was wanted.
    }
    assert.equal(await codeOf(() => fetchModel(newest, options)), "STATE_UNUSABLE")
    for (let at = 0; at < count; at++) rmSync(join(disk, `filler${at}`), { force: true })
    const head = await logHead(options)
    assert.deepEqual([head.before.size, head.checkpoint.size], [4, 7])
  })
})

suite("many at once", () => {
  test("twenty clients of one state while the log grows: it ends at the largest, alone", async (t) => {
    const client = await newClient(t, histories)
    const grown = { ...client.options, registry: main.url }
    const before = { ...client.options, registry: older.url }
    const looks = Array.from({ length: 20 }, (_, at) => codeOf(() => logHead(at % 2 === 0 ? before : grown)))
    // Who asks the registry with the smaller log after the larger was kept sees a rollback, rightly.
    for (const code of await Promise.all(looks)) assert.match(code, /^(?:none|ROLLBACK)$/)
    await logHead(grown)
    assert.deepEqual(names(client), [nameOf(7)])
  })
  test("two histories at once, of one size or of two: never are both believed", async (t) => {
    const receipt = Buffer.from(receiptBytes(forkReceipt))
    for (let round = 0; round < some(8, 4); round++) {
      const [honest, forked] = [await newClient(t, histories), await newClient(t, histories)]
      forked.show(fork)
      if (round % 2 === 0)
        forked.proxy.rule = ({ path }) => (path.endsWith("/versions/1.0.2") ? made(200, receipt) : null)
      const codes = await Promise.all([
        codeOf(() => fetchModel(newest, honest.options)),
        codeOf(() => fetchModel(`${model}@1.0.2`, { ...forked.options, state: honest.options.state })),
      ])
      assert.ok(codes.includes("LOG_INVALID"), `round ${round}: ${codes.join(" ")}`)
    }
  })
  test("a process that died between saving the new state and removing the old one: the next one tidies up", async (t) => {
    const { client, path, note } = await seen(t)
    const other = await newClient(t, histories)
    other.show(older)
    await logHead(other.options)
    const small = join(folderOf(other), nameOf(4))
    writeFileSync(join(folderOf(client), nameOf(4)), readFileSync(small))
    await fetchModel(newest, client.options)
    assert.deepEqual(names(client), [nameOf(7)])
    assert.equal(readFileSync(path, "utf8"), note)
  })
  test("and if what it left is of another history: refused until somebody has looked", async (t) => {
    const { client } = await seen(t)
    const other = await newClient(t, histories)
    other.show(fork)
    other.proxy.rule = ({ path }) =>
      path.endsWith("/versions/1.0.2") ? made(200, Buffer.from(receiptBytes(forkReceipt))) : null
    await fetchModel(`${model}@1.0.2`, other.options)
    writeFileSync(join(folderOf(client), nameOf(5)), readFileSync(join(folderOf(other), nameOf(5))))
    for (let i = 0; i < 2; i++) assert.equal(await codeOf(() => fetchModel(newest, client.options)), "LOG_INVALID")
    assert.deepEqual(names(client), [nameOf(5), nameOf(7)])
  })
  test("processes that are killed at any time leave a state that can be read", { timeout: 300_000 }, async (t) => {
    const state = join(tempFolder(t), "state")
    const client = await newClient(t, histories)
    const script = `
      import { logHead } from "@weighlock/client"
      import { rmSync } from "node:fs"
      const [trust, state, older, main] = process.argv.slice(1)
      process.stdout.write("ready")
      for (;;) for (const registry of [older, main]) {
        await logHead({ trust, state, registry, cache: state + "-cache" }).catch((error) => {
          if (error.code !== "ROLLBACK") { console.error(error); process.exit(3) }
        })
        if (registry === main) rmSync(state, { recursive: true, force: true })
      }`
    for (let round = 0; round < some(6, 3); round++) {
      const args = ["--input-type=module", "-e", script, world.trust, state, older.url, main.url]
      const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] })
      await new Promise((resolve) => child.stdout.once("data", resolve))
      await new Promise((resolve) => setTimeout(resolve, 60 + 47 * round))
      const ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)))
      child.kill("SIGKILL")
      assert.equal(await ended, null)
      assert.equal(await codeOf(() => fetchModel(newest, { ...client.options, state })), "none")
      const kept = readdirSync(join(state, "seen", roots[0]?.digest ?? "")).filter((name) =>
        name.endsWith(".checkpoint"),
      )
      assert.deepEqual(kept, [nameOf(7)])
    }
  })
})

test("the state is the exact note that the log signed", async (t) => {
  const { note } = await seen(t)
  const served = await fetch(`${main.url}/log/checkpoint`).then((answer) => answer.text())
  assert.equal(note, served)
  assert.equal(openCheckpoint(note, current.log).size, 7)
})
