import { mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { sign } from "node:crypto"
import { formatLeaf, makeStatement, payloadOf, preAuthEncoding, statementPayloadType, firstEntries, sha256Hex } from "@weighlock/manifest"
import { generateEd25519, signerFor } from "@weighlock/manifest/node"
import { formatCheckpoint, formatEntryBundle, formatNote, GrowingTree, hashLeaf, parseVkey, tilePath } from "@weighlock/tlog"
import { draft, file, logKey, makeChain } from "./support/trust.ts"
const [folder, count, models] = [process.argv[2]!, Number(process.argv[3]), Number(process.argv[4] ?? 1000)]
const key = generateEd25519()
const signer = signerFor(key)
const chain = await makeChain([signer])
const tree = new GrowingTree()
const open: any[][] = []
let bundle: Uint8Array[] = []
let l0: Uint8Array[] = []
let bytes = 0
const made = new Set<string>()
function put(path: string, b: Uint8Array) { const f = join(folder, path); const d = dirname(f); if (!made.has(d)) { mkdirSync(d, { recursive: true }); made.add(d) } writeFileSync(f, b); bytes += b.length }
function flush() { const index = Math.ceil(tree.size / 256) - 1; const width = bundle.length; put(tilePath({ level: "entries", index, width }), formatEntryBundle(bundle)); put(tilePath({ level: 0, index, width }), Buffer.concat(l0)); bundle = []; l0 = [] }
function append(entry: Uint8Array) {
  const h = hashLeaf(entry); bundle.push(entry); l0.push(h)
  tree.append(h, (level, i, hash) => { if (level > 0 && level % 8 === 0) { const L = level / 8; (open[L] ??= []).push(hash); if (open[L].length === 256) { put(tilePath({ level: L, index: Math.floor(i / 256), width: 256 }), Buffer.concat(open[L])); open[L] = [] } } })
  if (bundle.length === 256) flush()
}
for (const { entry } of firstEntries(chain, logKey.vkey, 1.8e12)) append(entry)
const heads = new Map<number, { seq: number; leaf: Uint8Array }>()
const resources = [file("group1-shard1of1.bin"), file("model.json")]
for (let at = 0; at < count - 2; at++) {
  const m = at % models
  const head = heads.get(m)
  const model = `acme/model-${m}`, version = `1.${Math.floor(at / models)}.0`
  const payload = makeStatement(draft({ model, version, resources, metadata: { framework: "tensorflow.js", n: String(at) } }))
  const sig = sign(null, preAuthEncoding(statementPayloadType, payload), key)
  const entry = formatLeaf({ op: "publish", at: 1.8e12 + at, model, seq: head ? head.seq + 1 : 0, prev: head?.leaf ?? new Uint8Array(0), subject: version, payload: payloadOf(statementPayloadType, payload), signatures: [{ keyid: signer.publicKey.keyid, sig }] })
  append(entry)
  heads.set(m, { seq: head ? head.seq + 1 : 0, leaf: hashLeaf(entry) })
}
if (bundle.length > 0) flush()
for (const [L, h] of open.entries()) if (L > 0 && h?.length) put(tilePath({ level: L, index: Math.ceil(tree.size / 256 ** (L + 1)) - 1, width: h.length }), Buffer.concat(h))
const text = formatCheckpoint({ origin: chain.current.log.origin, size: tree.size, root: tree.root() })
const v = parseVkey(logKey.vkey)!
put("checkpoint", Buffer.from(formatNote({ text, signatures: [{ name: v.name, id: v.id, bytes: sign(null, Buffer.from(text), logKey.key) }] })))
writeFileSync(join(folder, "trust.json"), chain.envelopes[0]!)
console.log({ size: tree.size, MB: bytes / 1e6, perEntry: bytes / tree.size })
void sha256Hex
