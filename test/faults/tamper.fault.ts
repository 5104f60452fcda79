/**
 * An export of 600 entries, and whoever can write it: one flipped bit, a missing tile, swapped entries, and, with the log's
 * own key, whole other histories. `audit` finds each and names where.
 */
import assert from "node:assert/strict"
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, type TestContext, test } from "node:test"

import { audit, auditExit, type AuditReport, exportLog } from "@weighlock/client"

import { makeWorld, startPeer, type World } from "../registry/support.ts"
import { tempFolder } from "../support/temp.ts"
import { entriesOf, flipBit, rewrite, tilesOf } from "./export-edit.ts"
import { blob, publishMany, publishOne } from "./load.ts"

const size = 600
let world: World
let whole: string
let entries: Buffer[]
const later: (() => unknown)[] = []
after(async () => {
  for (const step of later) await step()
})

const receipts = ["0.0.7", "0.0.300", "0.0.597"]

/** An export, the receipts of three versions, and a state that has seen all 600 entries. */
before(async () => {
  const t = { after: (step: () => void) => later.push(step) } as unknown as TestContext
  world = await makeWorld(t)
  whole = tempFolder(t)
  const peer = await startPeer(t, {}, world)
  await peer.upload(blob)
  await publishMany(peer, { world, inFlight: 32 }, 0, size - 3)
  await publishOne(peer, { world, inFlight: 1 }, "0.0.597")
  await exportLog(join(whole, "log"), { registry: peer.url, trust: world.trust, state: join(whole, "state") })
  mkdirSync(join(whole, "receipts"))
  for (const version of receipts) {
    const { bytes } = await peer.call("GET", `/api/v1/models/acme/mnist/versions/${version}`)
    writeFileSync(join(whole, "receipts", `${version}.json`), bytes)
  }
  await peer.close()
  entries = await entriesOf(join(whole, "log"))
  assert.equal(entries.length, size)
})

function copyOf(t: TestContext): string {
  const folder = tempFolder(t)
  cpSync(whole, folder, { recursive: true })
  return folder
}

type Knows = "state" | "receipts" | "nothing"

/** An auditor who has seen the log before, or who only keeps receipts, or who comes for the first time. */
async function auditAs(knows: Knows, folder: string): Promise<AuditReport> {
  return await audit({
    source: { kind: "folder", path: join(folder, "log") },
    trust: world.trust,
    state: join(folder, knows === "state" ? "state" : "no-state"),
    ...(knows === "receipts" && { receipts: join(folder, "receipts") }),
  })
}

/** `check at path or index` of each finding. */
const places = ({ findings }: AuditReport): string[] =>
  findings.map(({ check, path, index }) => `${check} ${path ?? ""}${index === undefined ? "" : `#${index}`}`)

test("untouched: nothing is found, whoever looks", async (t) => {
  for (const knows of ["state", "receipts", "nothing"] as const) {
    const report = await auditAs(knows, copyOf(t))
    assert.deepEqual(report.findings, [])
    assert.deepEqual([report.size, report.entries, report.judged], [size, size, size])
    assert.equal(auditExit(report), 0)
  }
})

/** A few bits of every file: the first, the last, and some between. */
const bitsOf = (path: string): number[] => {
  const bits = readFileSync(path).length * 8
  return [0, 5, 13, Math.floor(bits / 3), Math.floor(bits / 2) + 3, bits - 9, bits - 1]
}

test("one flipped bit in each tile and bundle", async (t) => {
  for (const tile of tilesOf(join(whole, "log"))) {
    for (const bit of bitsOf(join(whole, "log", tile))) {
      const folder = copyOf(t)
      flipBit(join(folder, "log", tile), bit)
      const report = await auditAs("nothing", folder)
      assert.equal(auditExit(report), 14)
      assert.ok(
        report.findings.some(({ path }) => path === tile),
        `bit ${bit} of ${tile}: ${places(report).join(", ")}`,
      )
      rmSync(folder, { recursive: true })
    }
  }
})

test("a flipped bit in each byte of the checkpoint", async (t) => {
  const folder = copyOf(t)
  const path = join(folder, "log", "checkpoint")
  const good = readFileSync(path)
  for (let at = 0; at < good.length; at++) {
    flipBit(path, at * 8 + (at % 8))
    const report = await auditAs("nothing", folder)
    assert.ok(
      report.findings.some((finding) => finding.path === "checkpoint"),
      `byte ${at}: ${places(report).join(", ")}`,
    )
    assert.equal(auditExit(report), 14)
    writeFileSync(path, good)
  }
})

test("each tile and bundle taken away, or cut short", async (t) => {
  for (const tile of tilesOf(join(whole, "log"))) {
    for (const spoil of ["gone", "empty", "short"]) {
      const folder = copyOf(t)
      const path = join(folder, "log", tile)
      if (spoil === "gone") rmSync(path)
      else writeFileSync(path, spoil === "empty" ? "" : readFileSync(path).subarray(0, -1))
      const report = await auditAs("nothing", folder)
      assert.equal(auditExit(report), 14)
      assert.ok(
        report.findings.some((finding) => finding.path === tile),
        `${tile} ${spoil}: ${places(report).join(", ")}`,
      )
      rmSync(folder, { recursive: true })
    }
  }
})

test("a flipped bit in each line of a receipt's proof, and a receipt that is another's", async (t) => {
  const folder = copyOf(t)
  const path = join(folder, "receipts", "0.0.300.json")
  const good = readFileSync(path, "utf8")
  const bundle = JSON.parse(good) as { proof: string }
  const lines = bundle.proof.split("\n")
  for (let line = 0; line < lines.length; line++) {
    const text = lines[line] ?? ""
    if (text === "") continue
    const middle = Math.floor(text.length / 2)
    const changed = text.slice(0, middle) + (text[middle] === "A" ? "B" : "A") + text.slice(middle + 1)
    writeFileSync(path, JSON.stringify({ ...bundle, proof: lines.with(line, changed).join("\n") }))
    const report = await auditAs("receipts", folder)
    assert.deepEqual(places(report), [`receipt ${path}`], `line ${line} of the proof`)
  }
  const other = JSON.parse(readFileSync(join(folder, "receipts", "0.0.7.json"), "utf8")) as object
  writeFileSync(path, JSON.stringify({ ...other, proof: bundle.proof }))
  assert.deepEqual(places(await auditAs("receipts", folder)), [`receipt ${path}`])
})

test("two entries swapped in their bundle", async (t) => {
  const folder = copyOf(t)
  const swapped = entries.with(301, entries[302] ?? Buffer.of()).with(302, entries[301] ?? Buffer.of())
  const good = copyOf(t)
  await rewrite(join(folder, "log"), world, swapped)
  // Only the bundle is changed; tiles and checkpoint are what they were.
  cpSync(join(folder, "log/tile/entries/001"), join(good, "log/tile/entries/001"))
  const found = places(await auditAs("nothing", good))
  assert.ok(found.includes("bundle tile/entries/001#301"), found.join())
  assert.ok(found.includes("bundle tile/entries/001#302"), found.join())
  // With its tile made to fit: then the tree above does not.
  cpSync(join(folder, "log/tile/0/001"), join(good, "log/tile/0/001"))
  const report = await auditAs("nothing", good)
  assert.equal(auditExit(report), 14)
  assert.ok(report.findings.length > 0)
})

/** With the log's own key: bytes, tiles and checkpoint fit each other perfectly. */
async function forged(t: TestContext, change: (entries: Buffer[]) => readonly Uint8Array[]): Promise<string> {
  const folder = copyOf(t)
  await rewrite(join(folder, "log"), world, change([...entries]))
  return folder
}

test("an entry changed and every tile made to fit: the checkpoint does not", async (t) => {
  const folder = copyOf(t)
  const checkpoint = readFileSync(join(folder, "log", "checkpoint"))
  const changed = Buffer.from(entries[301]?.toString().replace('"subject":"0.0.', '"subject":"9.0.') ?? "")
  await rewrite(join(folder, "log"), world, entries.with(301, changed))
  writeFileSync(join(folder, "log", "checkpoint"), checkpoint)
  for (const knows of ["state", "receipts", "nothing"] as const) {
    const report = await auditAs(knows, folder)
    assert.ok(
      places(report).some((place) => place.startsWith("root ")),
      places(report).join(),
    )
    assert.equal(auditExit(report), 14)
  }
})

test("swapped entries, all of it signed again: the rules find it, also for a newcomer", async (t) => {
  const folder = await forged(t, (all) => all.with(301, all[302] ?? Buffer.of()).with(302, all[301] ?? Buffer.of()))
  const report = await auditAs("nothing", folder)
  assert.ok(
    places(report).some((place) => place.endsWith("#301")),
    places(report).join(),
  )
  assert.equal(auditExit(report), 7)
  assert.equal(auditExit(await auditAs("state", folder)), 14)
})

test("an entry dropped from the middle, all of it signed again: the rules find it", async (t) => {
  const folder = await forged(t, (all) => all.toSpliced(301, 1))
  assert.ok(places(await auditAs("nothing", folder)).some((place) => place.endsWith("#301")))
})

test("an entry logged twice, all of it signed again: the rules find it", async (t) => {
  const folder = await forged(t, (all) => [...all, all[400] ?? Buffer.of()])
  assert.ok(places(await auditAs("nothing", folder)).some((place) => place.endsWith(`#${size}`)))
})

test("a shorter tree signed again: seen by whoever saw it longer, and by the receipts", async (t) => {
  const folder = await forged(t, (all) => all.slice(0, 500))
  const seen = await auditAs("state", folder)
  assert.ok(seen.findings.some(({ check, code }) => check === "shrunk" && code === "ROLLBACK"))
  assert.equal(auditExit(seen), 14)
  const kept = await auditAs("receipts", folder)
  assert.ok(
    kept.findings.some(
      ({ check, code, path }) => check === "receipt" && code === "WITHHELD" && path?.endsWith("0.0.597.json"),
    ),
  )
  // Someone who never saw it can't know: this is what witnesses are for.
  assert.deepEqual((await auditAs("nothing", folder)).findings, [])
})

test("another last entry, signed again (a fork): seen by whoever saw the first, and by the receipt", async (t) => {
  const last = JSON.parse(entries[size - 1]?.toString() ?? "{}") as { at: number }
  const text = entries[size - 1]?.toString().replace(`"at":${last.at}`, `"at":${last.at + 1}`) ?? ""
  const folder = await forged(t, (all) => all.with(size - 1, Buffer.from(text)))
  const seen = await auditAs("state", folder)
  assert.ok(seen.findings.some(({ check, code }) => check === "consistency" && code === "LOG_INVALID"))
  const kept = await auditAs("receipts", folder)
  assert.ok(kept.findings.some(({ code, index }) => code === "WITHHELD" && index === size - 1))
  assert.deepEqual((await auditAs("nothing", folder)).findings, [])
})

test("a fork that grew on: seen by whoever saw the first, and by the receipt", async (t) => {
  const last = entries[size - 1]?.toString() ?? ""
  const { at } = JSON.parse(last) as { at: number }
  const other = Buffer.from(last.replace(`"at":${at}`, `"at":${at + 1}`))
  const folder = await forged(t, (all) => [...all.slice(0, -1), other, all[400] ?? Buffer.of()])
  const seen = await auditAs("state", folder)
  assert.ok(seen.findings.some(({ check, code }) => check === "consistency" && code === "LOG_INVALID"))
  const kept = await auditAs("receipts", folder)
  assert.ok(kept.findings.some(({ code, index }) => code === "WITHHELD" && index === size - 1))
})
