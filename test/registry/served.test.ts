/** What readers are shown with witnesses: never less than before, whatever is signed in which order. */
import assert from "node:assert/strict"
import { test } from "node:test"

import { Served, type ServedCheckpoint } from "@weighlock/registry"
import { formatCheckpoint, formatNote } from "@weighlock/tlog"

import { origin } from "./support.ts"

function at(size: number): ServedCheckpoint {
  const text = formatCheckpoint({ origin, size, root: new Uint8Array(32) })
  const note = formatNote({ text, signatures: [{ name: origin, id: "00000001", bytes: new Uint8Array(64) }] })
  return { size, root: new Uint8Array(32), note, at: 0 }
}

function cosign(served: Served, size: number, quorum = true): number {
  served.cosigned({ size, vkey: "w", line: "", note: at(size).note, quorum })
  return served.shown.size
}

test("require: how the log began, then what meets the quorum", () => {
  const served = new Served("require", true, at(2), null)
  for (const size of [5, 10]) served.publish(at(size))
  assert.deepEqual([served.shown.size, cosign(served, 10, false), served.caughtUp], [2, 2, false])
  assert.deepEqual([cosign(served, 5), cosign(served, 10), cosign(served, 5)], [5, 10, 10])
  assert.ok(served.caughtUp)
})

test("require, after more was shown without witnesses: that, until they have caught up", () => {
  const served = new Served("require", true, at(12), at(4), at(10))
  assert.deepEqual([served.shown.size, cosign(served, 5), cosign(served, 10), cosign(served, 12)], [10, 10, 10, 12])
})

test("degrade, and no witnesses: the newest", () => {
  for (const [mode, asked] of [
    ["degrade", true],
    ["require", false],
  ] as const) {
    const served = new Served(mode, asked, at(2), null)
    served.publish(at(10))
    assert.deepEqual([served.shown.size, cosign(served, 5)], [10, 10])
  }
})
