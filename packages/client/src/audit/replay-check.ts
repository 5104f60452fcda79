/**
 * The entries, in order, judged by the rules of the history. What could not be read, or is not what was logged, was
 * reported by others and is not part of the history; what follows it is judged all the same.
 */
import { type AuditRule, HistoryError, type OpenedEntry, ReplayedHistory, type TrustChain } from "@weighlock/manifest"
import { equalHashes, type Hash } from "@weighlock/tlog"
import { type BadEntry, isBad, type JudgedBlock } from "./block.ts"
import type { FilesCheck } from "./files-check.ts"
import type { Findings } from "./finding.ts"
import type { LiveCheck } from "./live.ts"

const width = 256

export class ReplayCheck {
  readonly history: ReplayedHistory
  readonly #findings: Findings
  readonly #live: LiveCheck | null
  readonly #files: FilesCheck | null
  /** Entries that could be judged. */
  judged = 0
  models = 0
  /** Models whose numbers may go on after a gap that unreadable entries left, less those that have; `null`: none was. */
  #excused: Set<string> | null = null

  constructor(trustChain: TrustChain, findings: Findings, live: LiveCheck | null, files: FilesCheck | null) {
    this.history = new ReplayedHistory(trustChain)
    this.#findings = findings
    this.#live = live
    this.#files = files
  }

  /** Whether every entry was judged. */
  get whole(): boolean {
    return this.#excused === null
  }

  /** `hashes` are those of the block's entries, `logged` those that were logged; `null` where there is nothing. */
  async block(
    { index, entries }: JudgedBlock,
    hashes: readonly Hash[] | null,
    logged: readonly Hash[] | null,
    count: number,
  ): Promise<void> {
    for (let at = 0; at < count; at++) {
      const [own, real, entry] = [hashes?.[at], logged?.[at], entries?.[at]]
      const isLogged = own !== undefined && real !== undefined && equalHashes(own, real)
      if (entry === undefined || !isLogged) this.#skip()
      else await this.#apply(index * width + at, entry)
    }
  }

  #skip(): void {
    this.history.skip()
    this.#excused = new Set()
  }

  async #apply(index: number, entry: OpenedEntry | BadEntry): Promise<void> {
    if (isBad(entry)) {
      this.#report(index, entry)
      return this.#skip()
    }
    this.judged++
    if (entry.seq === 0) this.models++
    try {
      this.history.apply(entry)
    } catch (error) {
      if (!(error instanceof HistoryError)) throw error
      if (!this.#follows(entry, error)) this.#report(index, error)
    }
    const { op, model, subject: version, payload, hash } = entry
    if (op !== "publish" || model === undefined || version === undefined) return
    const logged = { index, model, version, digest: payload.sha256, leaf: hash }
    this.#files?.expect(logged)
    await this.#live?.expect(logged)
  }

  /** A gap in a model's numbers that entries which could not be judged have left, once per model. */
  #follows({ model = "" }: OpenedEntry, { rule }: HistoryError): boolean {
    if (this.#excused === null || (rule !== "sequence" && rule !== "previous")) return false
    const first = !this.#excused.has(model)
    this.#excused.add(model)
    return first
  }

  #report(index: number, { code, rule, message }: { code: string; rule: AuditRule; message: string }): void {
    const [kind, meant] =
      code === "RULE_BROKEN" ? (["rule", "RULE_BROKEN"] as const) : (["log", "LOG_INVALID"] as const)
    this.#findings.add({ kind, code: meant, check: rule, index, message })
  }
}
