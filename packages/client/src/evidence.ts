/**
 * When a log contradicts what was seen of it, both signed statements are kept, so that someone who trusts neither this
 * machine nor the registry can look at them alone.
 *
 *     <state>/seen/<pin>/evidence/20261123T120000Z-ROLLBACK-1f0c9a7758b1d2e4/
 *         seen.checkpoint   what this machine had verified      (as a signed note, byte for byte)
 *         shown.checkpoint  what it was shown afterwards
 *         proof.json        for a fork: the root that the later state has for the earlier size, proven
 *         README.txt        how to check it
 */
import { createHash } from "node:crypto"
import { mkdir, readdir, rm } from "node:fs/promises"
import { dirname, join } from "node:path"
import { canonicalJson, decodeUtf8, encodeBase64, type TrustRoot } from "@weighlock/manifest"
import { createFile, makeFolder, moveDurably, temporaryIn } from "@weighlock/node"
import type { Hash } from "@weighlock/tlog"
import type { SignedCheckpoint } from "./seen.ts"

/** Of each code: a log that contradicts itself at every question must not fill the disk, nor rollbacks hide a fork. */
const mostKept = 100

export interface Contradiction {
  readonly code: "LOG_INVALID" | "ROLLBACK"
  /** One sentence. */
  readonly what: string
  readonly seen: SignedCheckpoint
  readonly shown: SignedCheckpoint
  readonly proof: EvidenceProof | null
}

/** The larger checkpoint contains a tree of `size` entries with this root (and not the one signed for that size). */
export interface EvidenceProof {
  readonly size: number
  readonly root: Hash
  /** Consistency proof from that tree to the larger checkpoint. */
  readonly proof: readonly Hash[]
}

/** A folder of its own in `all`, whole or absent; the same contradiction again gives the same one. Never throws: `null` where it could not be kept. */
export async function keepEvidence(all: string, found: Contradiction, log: TrustRoot["log"]): Promise<string | null> {
  try {
    const about = `${found.code}-${digestOf(found)}`
    const kept = await readdir(all).catch(() => [])
    const before = kept.find((name) => name.endsWith(`-${about}`))
    if (before !== undefined) return join(all, before)
    if (kept.filter((name) => name.includes(`-${found.code}-`)).length >= mostKept) return null
    const own = join(all, `${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}-${about}`)
    await makeFolder(all)
    await createFolder(own, files(found, log))
    return own
  } catch {
    return null
  }
}

async function createFolder(path: string, texts: readonly [string, string][]): Promise<void> {
  const temporary = temporaryIn(dirname(path))
  try {
    await mkdir(temporary, { mode: 0o700 })
    for (const [name, text] of texts) await createFile(join(temporary, name), text)
    await moveDurably(temporary, path)
  } catch (error) {
    await rm(temporary, { recursive: true, force: true })
    throw error
  }
}

function digestOf({ seen, shown }: Contradiction): string {
  const both = [seen, shown].map(({ note }) => note?.split("\n\n")[0] ?? "").join("\n\n")
  return createHash("sha256").update(both).digest("hex").slice(0, 16)
}

function files(found: Contradiction, log: TrustRoot["log"]): [string, string][] {
  const { seen, shown, proof } = found
  return [
    ["seen.checkpoint", seen.note ?? ""],
    ["shown.checkpoint", shown.note ?? ""],
    ...(proof === null ? [] : [["proof.json", proofJson(proof)] satisfies [string, string]]),
    ["README.txt", readme(found, log)],
  ]
}

function proofJson({ size, root, proof }: EvidenceProof): string {
  return `${decodeUtf8(canonicalJson({ size, root: encodeBase64(root), consistency: proof.map(encodeBase64) }), "JSON")}\n`
}

function readme({ what, seen, shown, proof, code }: Contradiction, { origin, vkeys }: TrustRoot["log"]): string {
  return `${what}

seen.checkpoint was verified by this machine. shown.checkpoint was shown to it afterwards.
Both are signed notes (c2sp.org/signed-note) of the log ${origin}, whose verifier keys are:

${vkeys.map((vkey) => `    ${vkey}`).join("\n")}

${judgement(code, seen.checkpoint.size, shown.checkpoint.size, proof)}
`
}

function judgement(code: string, before: number, after: number, proof: EvidenceProof | null): string {
  if (before === after)
    return `Both are for ${before} entries and have different roots. Nothing else is needed: the log has signed two histories.`
  if (code === "ROLLBACK")
    return `The log signed ${before} entries and later presented ${after} as its newest state. A log only grows.`
  const [small, large] = [before, after].toSorted((a, b) => a - b)
  if (proof !== null)
    return `proof.json shows that the state of ${large} entries begins with other ${small} entries than the log signed for that size:
"consistency" is a proof (RFC 6962 section 2.1.2) from a tree of ${small} entries with the root "root" to the larger checkpoint,
and that root is not the one of the smaller checkpoint. The log has signed two histories.`
  return `An honest log can show at any time that its ${large} entries begin with the ${small} of the other checkpoint (RFC 6962, consistency
proof). This one did not. Ask it again, in public: if it still has no proof, it has signed two histories.`
}
