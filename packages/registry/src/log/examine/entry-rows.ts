/**
 * Do the rows about an entry say what its leaf and payload say? What is looked up by name (a version, a digest, a model's
 * history) is found through these rows, and believed from the leaf.
 */
import { type Leaf, type Manifest, ManifestError, parseLeaf, parseStatement, sha256Hex } from "@weighlock/manifest"

import type { BlobFactsRow, EntryRow, LedgerRows } from "../../store/ledger-rows.ts"
import { type Finding, entryFinding, finding } from "./finding.ts"

/** `deep`: the payload is read too, for the blobs and the time that it names. */
export function* examineRows(rows: LedgerRows, row: EntryRow, deep: boolean): Generator<Finding> {
  const leaf = leafOf(row)
  if (leaf instanceof ManifestError) {
    yield entryFinding("leaf", row.idx, leaf.message)
    return
  }
  if ((leaf.model ?? null) !== row.model || (leaf.seq ?? null) !== row.seq) {
    yield entryFinding("row", row.idx, `filed as ${row.model} ${row.seq}, the leaf says ${leaf.model} ${leaf.seq}`)
  }
  yield* examinePayload(rows, row.idx, leaf)
  if (leaf.op === "publish") yield* examineManifest(rows, row.idx, leaf, deep)
  if (leaf.op === "trust") yield* examineTrust(rows, row.idx, leaf)
}

function leafOf({ leaf }: EntryRow): Leaf | ManifestError {
  try {
    return parseLeaf(leaf)
  } catch (error) {
    if (error instanceof ManifestError) return error
    throw error
  }
}

function* examinePayload(rows: LedgerRows, index: number, { payload }: Leaf): Generator<Finding> {
  if (payload.inline) return
  const bytes = rows.payload(payload.sha256)
  const place = `payloads ${payload.sha256}`
  if (!bytes) yield finding("payload", place, `the payload of entry ${index} is absent`, index)
  else if (bytes.length !== payload.size || sha256Hex(bytes) !== payload.sha256) {
    yield finding("payload", place, `it is not what entry ${index} names: its SHA-256 is ${sha256Hex(bytes)}`, index)
  }
}

function* examineTrust(rows: LedgerRows, index: number, { payload, subject }: Leaf): Generator<Finding> {
  const row = rows.trustRoots().find(({ idx }) => idx === index)
  if (row?.digest === payload.sha256 && String(row.version) === subject) return
  const found = row ? `version ${row.version}, sha256:${row.digest}` : "absent"
  yield finding("row", `trust_roots ${subject}`, `it is ${found}; entry ${index} says sha256:${payload.sha256}`, index)
}

function* examineManifest(rows: LedgerRows, index: number, leaf: Leaf, deep: boolean): Generator<Finding> {
  const { model, subject, payload } = leaf
  const place = `manifests ${index}`
  const row = rows.manifest(index)
  if (!row) {
    yield finding("row", place, `entry ${index} publishes ${model}@${subject}, and has no row`, index)
    return
  }
  if (row.model !== model || row.version !== subject || row.digest !== payload.sha256) {
    const found = `${row.model}@${row.version} sha256:${row.digest}`
    yield finding("row", place, `it is ${found}; the entry says ${model}@${subject} sha256:${payload.sha256}`, index)
  }
  if (rows.strayed(row, leaf.seq ?? 0).length > 0) {
    yield finding("row", place, "an index of the database does not lead to it", index)
  }
  const bytes = deep ? (payload.inline ?? rows.payload(payload.sha256)) : null
  if (bytes && sha256Hex(bytes) === payload.sha256) yield* examineContent(rows, index, bytes, row.created_at)
}

function* examineContent(rows: LedgerRows, index: number, payload: Uint8Array, createdAt: string): Generator<Finding> {
  const manifest = statementOf(payload)
  if (manifest instanceof ManifestError) {
    yield entryFinding("history", index, manifest.message)
    return
  }
  const place = `manifests ${index}`
  if (manifest.createdAt !== createdAt) {
    yield finding("row", place, `created_at is ${createdAt}, the manifest says ${manifest.createdAt}`, index)
  }
  const named = [...new Set(manifest.resources.map(({ digest }) => digest))].toSorted()
  if (named.join() !== rows.blobsOf(index).join()) {
    yield finding("row", `manifest_blobs ${index}`, "its blobs are not those that the manifest names", index)
  }
  for (const resource of manifest.resources) {
    const blob = rows.blob(resource.digest)
    if (blob && !describes(blob, resource)) {
      yield finding("blob-facts", `blobs ${resource.digest}`, `size or parts are not those of ${resource.name}`, index)
    }
  }
}

function statementOf(payload: Uint8Array): Manifest | ManifestError {
  try {
    return parseStatement(payload)
  } catch (error) {
    if (error instanceof ManifestError) return error
    throw error
  }
}

function describes(blob: BlobFactsRow, { size, parts }: Manifest["resources"][number]): boolean {
  const digests = blob.part_digests ? Buffer.from(blob.part_digests).toString("hex") : ""
  return blob.size === size && blob.part_size === (parts?.size ?? null) && digests === (parts?.digests ?? []).join("")
}
