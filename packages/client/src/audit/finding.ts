/**
 * What an audit says is wrong: where, by which check, and how bad. An audit goes on after a finding wherever the rest can
 * still be judged.
 *
 *     { kind: "log", code: "LOG_INVALID", check: "bundle", index: 301, path: "tile/entries/001", message: "…" }
 *     { kind: "rule", code: "RULE_BROKEN", check: "sequence", index: 412, message: "seq of acme/mnist is 9, expected 8" }
 */
import { type AuditRule, auditRules } from "@weighlock/manifest"

/** Beyond the rules of the history (`auditRules`). */
export const auditChecks = {
  checkpoint: "the checkpoint is signed by the log",
  quorum: "the checkpoint is cosigned as the trust root's policy asks",
  staleness: "witnesses have confirmed the checkpoint recently enough",
  shrunk: "the log is not smaller than it was seen to be",
  consistency: "the log begins with what was seen of it before",
  root: "all entries hash to the checkpoint's root",
  bundle: "every entry bundle is there, well-formed, and holds the entries that were logged",
  tile: "every hash tile is there and holds the hashes of what is below it",
  receipt: "every kept receipt is a bundle whose entry the log still holds, at its index",
  live: "what the API answers is what a replay of the log gives",
  file: "with --files: every file of every version is there, with the SHA-256 that was signed",
} as const

export type AuditCheck = keyof typeof auditChecks | AuditRule

export interface Finding {
  /**
   * `log`: bytes, hashes or signatures. `rule`: the log is intact, and holds what should not have been logged. `file`: a file
   * of a model is not what was signed.
   */
  readonly kind: "log" | "rule" | "file"
  readonly code:
    | "LOG_INVALID"
    | "ROLLBACK"
    | "WITHHELD"
    | "NOT_YET_WITNESSED"
    | "STALE"
    | "RULE_BROKEN"
    | "DIGEST_MISMATCH"
  readonly check: AuditCheck
  /** Of the entry. */
  readonly index?: number
  /** Of the tile, bundle or receipt. */
  readonly path?: string
  readonly message: string
}

export function isRule(check: AuditCheck): check is AuditRule {
  return Object.hasOwn(auditRules, check)
}

/** Keeps the first ones of each kind: a damaged log can break a rule at every entry, and that must not hide the damage. */
export class Findings {
  readonly all: Finding[] = []
  /** Beyond those kept. */
  omitted = 0
  readonly #kept = { log: 0, rule: 0, file: 0 }
  readonly #most: number
  readonly #onFinding: ((finding: Finding) => void) | undefined

  constructor(most = 1000, onFinding?: (finding: Finding) => void) {
    this.#most = most
    this.#onFinding = onFinding
  }

  add(finding: Finding): void {
    if (this.#kept[finding.kind] >= this.#most) {
      this.omitted++
      return
    }
    this.#kept[finding.kind]++
    this.all.push(finding)
    this.#onFinding?.(finding)
  }

  get none(): boolean {
    return this.all.length === 0
  }

  log(check: AuditCheck, message: string, where: Pick<Finding, "index" | "path"> = {}): void {
    this.add({ kind: "log", code: "LOG_INVALID", check, ...where, message })
  }
}
