/**
 * Is a state of the log that is shown now the one that was verified before, or grown out of it? What contradicts it is
 * signed by the log, and kept beside the cursor.
 *
 *     monitor/4d3c….json                                         the cursor
 *     monitor/4d3c….json.evidence/20261123T120000Z-LOG_INVALID-…  see evidence.ts
 */
import { createHash } from "node:crypto"
import { ManifestError, type TrustChain } from "@weighlock/manifest"
import { ForkError, proveConsistency, TlogError } from "@weighlock/tlog"
import { faultOf } from "../audit/block.ts"
import { type Contradiction, keepEvidence } from "../evidence.ts"
import { requireGenesisByTiles } from "../genesis.ts"
import type { LogHead } from "../log-head.ts"
import type { LogFiles } from "../log-reader.ts"
import type { SignedCheckpoint } from "../seen.ts"
import type { AlertCode } from "./alert.ts"
import type { Noticed } from "./watch.ts"

export interface Continuity {
  readonly files: LogFiles
  readonly trustChain: TrustChain
  /** Folder for what is to be kept. */
  readonly evidence: string
}

/** What is wrong with it, or `null`. At first contact, with an empty `seen`, it must be the log of the trust root. Throws UNAVAILABLE. */
export async function judgeHead(view: Continuity, seen: SignedCheckpoint, shown: LogHead): Promise<Noticed | null> {
  const [before, after] = [seen.checkpoint.size, shown.checkpoint.size]
  if (before === 0) return after === 0 ? null : await judgeFirst(view, shown)
  if (after < before) {
    const what = `the log had ${before} entries and now shows ${after} as its newest state`
    return await notice(view, "ROLLBACK", { code: "ROLLBACK", what, seen, shown, proof: null })
  }
  try {
    await proveConsistency(view.files, seen.checkpoint, shown.checkpoint)
    return null
  } catch (error) {
    const proof = error instanceof ForkError ? error : null
    const fault = error instanceof TlogError ? error.message : faultOf(error)
    const what = `the log at ${after} entries does not go on from the ${before} seen before: ${fault}`
    const isFork = proof !== null || before === after
    return await notice(view, isFork ? "FORK" : "LOG_INVALID", { code: "LOG_INVALID", what, seen, shown, proof })
  }
}

async function judgeFirst({ files, trustChain }: Continuity, shown: LogHead): Promise<Noticed | null> {
  try {
    await requireGenesisByTiles(files, trustChain, shown.checkpoint)
    return null
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    return { id: `LOG_INVALID:${idOf(shown)}`, code: "LOG_INVALID", message: error.message, index: 0 }
  }
}

async function notice({ trustChain, evidence }: Continuity, code: AlertCode, found: Contradiction): Promise<Noticed> {
  const kept = await keepEvidence(evidence, found, trustChain.current.log)
  const message = kept === null ? found.what : `${found.what}; the evidence is in ${kept}`
  return { id: `${code}:${idOf(found.shown)}`, code, message }
}

/** The same state has the same, whoever cosigned it. */
function idOf({ note }: SignedCheckpoint): string {
  const text = note?.split("\n\n")[0] ?? ""
  return createHash("sha256").update(text).digest("hex").slice(0, 16)
}
