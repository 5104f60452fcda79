/** What an audit is asked, and what it answers. */
import type { Progress } from "../session.ts"
import type { Finding } from "./finding.ts"
import type { SourceAddress } from "./source.ts"

export interface AuditOptions {
  readonly source: SourceAddress
  /** A trust root file, or `sha256:<pin>`: then the root is taken from the log's entry 1 and must be that. */
  readonly trust: string
  /** Folder of what was seen, as in `ClientOptions`. */
  readonly state?: string
  /** Folder of kept bundles. */
  readonly receipts?: string
  /** Hashes only: no signature, no rule, no live API. */
  readonly hashOnly?: boolean
  /** Compare with the live API; what a registry is asked for unless told otherwise. */
  readonly live?: boolean
  /** Of a registry: read every file of every version, too, and compare it with what was signed. */
  readonly files?: boolean
  /** Private hosts that may be stores of files. */
  readonly allowStoreHosts?: readonly string[]
  /** Seconds. */
  readonly maxStaleness?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
  readonly onFinding?: (finding: Finding) => void
}

export interface AuditReport {
  readonly origin: string
  /** `null` where there is no checkpoint that the log has signed. */
  readonly size: number | null
  /** Base64. */
  readonly root: string | null
  /** The signed note. */
  readonly checkpoint: string | null
  readonly quorum: boolean
  readonly freshness: Date | null
  /** What this machine had seen of the log; `consistent` is `null` where it could not be compared. */
  readonly seen: { readonly size: number; readonly consistent: boolean | null }
  /** Hashed. */
  readonly entries: number
  /** Replayed. */
  readonly judged: number
  readonly models: number
  readonly versions: number
  readonly live: { readonly versions: number } | null
  /** Distinct files that were read to their end. */
  readonly files: { readonly count: number; readonly bytes: number } | null
  /** Compared. */
  readonly receipts: number | null
  readonly findings: readonly Finding[]
  /** Findings beyond those listed. */
  readonly omitted: number
  /** Why not everything was looked at; without any finding the audit throws that instead. */
  readonly incomplete: string | null
  readonly seconds: number
}

/** 0 clean, 14 any finding about the log's bytes, hashes or signatures, 13 about files, 7 a rule was broken: the worst wins. */
export function auditExit({ findings }: AuditReport): 0 | 7 | 13 | 14 {
  if (findings.some(({ kind }) => kind === "log")) return 14
  if (findings.some(({ kind }) => kind === "file")) return 13
  return findings.length > 0 ? 7 : 0
}
