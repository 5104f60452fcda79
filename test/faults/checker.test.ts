/** The judge is judged: what it must find is found, on logs made by tlog, whose mathematics it does not share. */
import assert from "node:assert/strict"
import { generateKeyPairSync, randomBytes, sign } from "node:crypto"
import { test } from "node:test"
import { encodeBase64, formatVkey, GrowingTree, hashLeaf, inclusionProof, type NodeReader } from "@weighlock/tlog"

import { checkLog } from "./checker/check.ts"
import type { Line } from "./checker/journal.ts"
import { openKey } from "./checker/note.ts"
import type { ServedLog } from "./checker/served-log.ts"

const origin = "models.acme.example/log"
const { publicKey, privateKey } = generateKeyPairSync("ed25519")
const vkey = formatVkey(origin, publicKey.export({ format: "der", type: "spki" }).subarray(12))
const key = openKey(vkey)

function note(size: number, root: Uint8Array, signer = privateKey): string {
  const text = `${origin}\n${size}\n${encodeBase64(root)}\n`
  const id = Buffer.from(vkey.split("+")[1] ?? "", "hex")
  return `${text}\n— ${origin} ${encodeBase64(Buffer.concat([id, sign(null, Buffer.from(text), signer)]))}\n`
}

interface Made {
  readonly log: ServedLog
  readonly notes: readonly string[]
  acknowledged(index: number, size: number): Line
}

function make(size: number, change: (entries: Buffer[]) => void = () => undefined): Made {
  const entries = Array.from({ length: size }, (_, i) => Buffer.from(`entry ${i}`))
  change(entries)
  const nodes = new Map<string, Uint8Array>()
  const tree = new GrowingTree()
  const notes = [note(0, tree.root())]
  for (const entry of entries) {
    tree.append(hashLeaf(entry), (level, index, hash) => nodes.set(`${level}/${index}`, hash))
    notes.push(note(tree.size, tree.root()))
  }
  const read: NodeReader = (level, index) => nodes.get(`${level}/${index}`) ?? hashLeaf(entries[index] ?? Buffer.of())
  return {
    log: { checkpoint: notes[entries.length] ?? "", from: 0, entries },
    notes,
    acknowledged: (index, at) => {
      const hashes = inclusionProof(index, at, read).map((hash) => `${encodeBase64(hash)}\n`)
      const proof = `c2sp.org/tlog-proof@v1\nindex ${index}\n${hashes.join("")}\n${notes[at]}`
      return { version: `0.0.${index}`, entry: encodeBase64(entries[index] ?? Buffer.of()), proof }
    },
  }
}

test("a log as it should be, every proof of every size", () => {
  const made = make(20)
  const lines = made.notes.flatMap((checkpoint, size) => [
    { checkpoint },
    ...Array.from({ length: size }, (_, index) => made.acknowledged(index, size)),
  ])
  assert.deepEqual(checkLog(made.log, lines, key), { size: 20, acknowledged: 210, checkpoints: 21 })
})

function found(name: string, pattern: RegExp, log: ServedLog, ...lines: readonly Line[]): void {
  test(`found: ${name}`, () => assert.throws(() => checkLog(log, lines, key), pattern))
}

const good = make(20)
const other = make(20, (entries) => (entries[7] = Buffer.from("forged")))
const swapped = make(20, (entries) => entries.splice(3, 2, Buffer.from("entry 4"), Buffer.from("entry 3")))
const shorter = make(15)

found("an acknowledged entry is gone", /acknowledged at 17/, shorter.log, good.acknowledged(17, 18))
found("a checkpoint beyond the end", /a checkpoint of 18/, shorter.log, { checkpoint: good.notes[18] ?? "" })
found("an entry was replaced and all of it signed again", /something else/, other.log, good.acknowledged(7, 20))
found("two roots at one size", /two roots at 9/, other.log, { checkpoint: good.notes[9] ?? "" })
found("two entries changed places", /something else/, swapped.log, good.acknowledged(3, 20))
found("entries that the checkpoint does not hold", /two roots at 20/, { ...good.log, entries: other.log.entries })
found("an entry beyond the checkpoint's root", /two roots/, {
  ...good.log,
  entries: [...good.log.entries.slice(1), Buffer.of()],
})
found("another log's key", /not signed/, {
  ...good.log,
  checkpoint: note(20, randomBytes(32), generateKeyPairSync("ed25519").privateKey),
})
const proven = good.acknowledged(5, 20)
found("a proof with a flipped bit", /proof does not hold/, good.log, {
  ...(proven as Exclude<Line, { checkpoint: string }>),
  proof: ("proof" in proven ? proven.proof : "").replace(
    /(index 5\n)(.)/,
    (_, head: string, c: string) => head + (c === "A" ? "B" : "A"),
  ),
})
