/**
 * A whole log, checked by someone who trusts nobody but the pinned trust root: every entry hashed to the signed root, every
 * hash tile compared, every signature and rule replayed, kept receipts and the live API compared with the result.
 *
 *     const report = await audit({ source: { kind: "folder", path: "/backup/acme-log" }, trust: "trust.json" })
 *     report.findings                    // [] — or what is wrong, where
 *
 * Memory does not grow with the entries' bytes: what is kept is the tree's edge and what the history has bound.
 */
import { HistoryError, type OpenedEntry, ReplayedHistory, type TrustChain } from "@weighlock/manifest"
import { encodeBase64, equalHashes, ForkError, type Hash, proveConsistency, type Tile, tilePath } from "@weighlock/tlog"
import { contradiction } from "../growth.ts"
import { type LogHead, openHead } from "../log-head.ts"
import { requireFreshHead } from "../log.ts"
import { defaultState, Seen, type SignedCheckpoint } from "../seen.ts"
import type { Progress } from "../session.ts"
import { type BadEntry, faultOf, isBad, type JudgedBlock } from "./block.ts"
import { judgeBlocks } from "./block-pool.ts"
import { type Finding, Findings } from "./finding.ts"
import { LiveCheck } from "./live.ts"
import { readReceipts, ReceiptCheck } from "./receipts.ts"
import { type OpenSource, openSource, type SourceAddress } from "./source.ts"
import { TreeCheck } from "./tree-check.ts"
import { auditTrust } from "./trust.ts"

const width = 256

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
  /** Compared. */
  readonly receipts: number | null
  readonly findings: readonly Finding[]
  /** Findings beyond those listed. */
  readonly omitted: number
  readonly seconds: number
}

/** Findings are returned; thrown is what made it impossible to look: UNAVAILABLE, NOT_FOUND, FILE_UNREADABLE, STATE_DAMAGED … */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const source = openSource(options.source, options.signal)
  try {
    return await new Audit(options, source, await auditTrust(options.trust, source.files)).run()
  } finally {
    await source.close()
  }
}

/** 0 clean, 14 any finding about the log's bytes, hashes or signatures, 7 a rule was broken: the worst wins. */
export function auditExit({ findings }: AuditReport): 0 | 7 | 14 {
  if (findings.some(({ kind }) => kind === "log")) return 14
  return findings.length > 0 ? 7 : 0
}

class Audit {
  readonly #options: AuditOptions
  readonly #source: OpenSource
  readonly #trustChain: TrustChain
  readonly #findings: Findings
  readonly #seen: Seen
  readonly #started = performance.now()
  readonly #history: ReplayedHistory
  readonly #reported = new Set<string>()
  #entries = 0
  #judged = 0
  #models = 0
  /** Models whose numbering starts anew after entries that could not be judged. */
  #excused: Set<string> | null = null
  #receipts: ReceiptCheck | null = null
  #live: LiveCheck | null = null

  constructor(options: AuditOptions, source: OpenSource, trustChain: TrustChain) {
    this.#options = options
    this.#source = source
    this.#trustChain = trustChain
    this.#findings = new Findings(1000, options.onFinding)
    this.#seen = new Seen(options.state ?? defaultState(), trustChain)
    this.#history = new ReplayedHistory(trustChain)
  }

  async run(): Promise<AuditReport> {
    await this.#seen.prepare()
    const seen = await this.#seen.read()
    const { receipts: folder } = this.#options
    const kept = folder === undefined ? [] : await readReceipts(folder, this.#trustChain, this.#findings)
    if (folder !== undefined) this.#receipts = new ReceiptCheck(kept, this.#findings)
    const head = this.#openHead(await this.#source.files.checkpoint())
    if (head === null) return this.#report(null, seen, null)
    const tree = this.#treeCheck(head, seen)
    this.#live = this.#liveCheck()
    await this.#readBlocks(head, tree)
    await tree.finish()
    this.#receipts?.finish(head.checkpoint.size, (size) => tree.rootAt(size))
    await this.#live?.finish(this.#history, head.checkpoint, this.#models, this.#excused === null)
    const consistent = await this.#compareSeen(seen, head, tree)
    await this.#keep(head, seen)
    return this.#report(head, seen, consistent)
  }

  #openHead(note: Uint8Array): LogHead | null {
    try {
      const head = openHead(note, this.#trustChain)
      if (!head.quorum) this.#judgeHead("quorum", "NOT_YET_WITNESSED", "too few witnesses have cosigned the checkpoint")
      requireFreshHead(head, this.#options.maxStaleness ?? null, new Date())
      return head
    } catch (error) {
      return this.#badHead(note, error)
    }
  }

  #badHead(note: Uint8Array, error: unknown): LogHead | null {
    const { code, message } = error as { code?: unknown; message: string }
    if (code === "STALE") {
      this.#judgeHead("staleness", "STALE", message)
      return openHead(note, this.#trustChain)
    }
    if (code !== "LOG_INVALID") throw error
    this.#findings.log("checkpoint", message, { path: "checkpoint" })
    return null
  }

  #judgeHead(check: "quorum" | "staleness", code: Finding["code"], message: string): void {
    this.#findings.add({ kind: "log", code, check, path: "checkpoint", message })
  }

  #treeCheck({ checkpoint }: LogHead, seen: SignedCheckpoint): TreeCheck {
    const marks = [seen.checkpoint.size, ...(this.#receipts?.sizes ?? [])]
    const read = (tile: Tile): Promise<Uint8Array | null> => this.#readHashTile(tile)
    return new TreeCheck(checkpoint.size, checkpoint.root, read, this.#findings, marks)
  }

  #liveCheck(): LiveCheck | null {
    const { live = true, hashOnly = false } = this.#options
    const { transport } = this.#source
    if (!live || hashOnly || transport === null) return null
    return new LiveCheck(transport, this.#trustChain, this.#findings)
  }

  async #readHashTile(tile: Tile): Promise<Uint8Array | null> {
    const path = tilePath(tile)
    const fault = await this.#source.files.read(path).then(
      (bytes) => (bytes.length === 32 * tile.width ? bytes : `it has ${bytes.length} bytes, not ${32 * tile.width}`),
      (error: unknown) => faultOf(error),
    )
    if (typeof fault !== "string") return fault
    if (!this.#reported.has(path)) this.#findings.log("tile", fault, { path })
    this.#reported.add(path)
    return null
  }

  async #readBlocks({ checkpoint: { size } }: LogHead, tree: TreeCheck): Promise<void> {
    const setup = {
      source: this.#options.source,
      trust: this.#trustChain.envelopes,
      hashOnly: this.#options.hashOnly ?? false,
    }
    for await (const block of judgeBlocks(size, setup, this.#source.files)) {
      this.#options.signal?.throwIfAborted()
      const hashes = block.fault === null ? splitHashes(block.hashes) : null
      if (block.fault !== null)
        this.#findings.log("bundle", block.fault, {
          index: block.index * width,
          path: tilePath({ level: "entries", index: block.index, width: Math.min(width, size - block.index * width) }),
        })
      const logged = await tree.block(block.index, hashes)
      await this.#judge(block, hashes, logged, Math.min(width, size - block.index * width))
      this.#options.onProgress?.({
        phase: "audit",
        unit: "entries",
        done: block.index * width + (hashes?.length ?? 0),
        total: size,
      })
    }
  }

  /** What a bundle holds and was not logged is not judged: it has been reported, and is not part of the history. */
  async #judge(
    { index, entries }: JudgedBlock,
    hashes: readonly Hash[] | null,
    logged: readonly Hash[] | null,
    count: number,
  ): Promise<void> {
    this.#entries += hashes?.length ?? 0
    for (let at = 0; at < count; at++) {
      const [own, real, entry] = [hashes?.[at], logged?.[at], entries?.[at]]
      this.#receipts?.entry(index * width + at, real ?? null)
      if (this.#options.hashOnly === true) continue
      const isLogged = own !== undefined && real !== undefined && equalHashes(own, real)
      if (entry === undefined || !isLogged) this.#skip()
      else await this.#apply(index * width + at, entry)
    }
  }

  #skip(): void {
    this.#history.skip()
    this.#excused = new Set()
  }

  async #apply(index: number, entry: OpenedEntry | BadEntry): Promise<void> {
    if (isBad(entry)) {
      this.#rule(index, entry.code, entry.rule, entry.message)
      return this.#skip()
    }
    this.#judged++
    if (entry.seq === 0) this.#models++
    try {
      this.#history.apply(entry)
    } catch (error) {
      if (!(error instanceof HistoryError)) throw error
      if (!this.#follows(entry, error)) this.#rule(index, error.code, error.rule, error.message)
    }
    const { op, model, subject: version, payload, hash } = entry
    if (op === "publish" && model !== undefined && version !== undefined)
      await this.#live?.expect({ index, model, version, digest: payload.sha256, leaf: hash })
  }

  /** A gap in a model's numbers that entries which could not be judged have left, once per model. */
  #follows({ model = "" }: OpenedEntry, { rule }: HistoryError): boolean {
    if (this.#excused === null || (rule !== "sequence" && rule !== "previous")) return false
    const first = !this.#excused.has(model)
    this.#excused.add(model)
    return first
  }

  #rule(index: number, code: string, rule: string, message: string): void {
    const isLog = code !== "RULE_BROKEN"
    this.#findings.add({
      kind: isLog ? "log" : "rule",
      code: isLog ? "LOG_INVALID" : "RULE_BROKEN",
      check: rule as Finding["check"],
      index,
      message,
    })
  }

  /** The log as it was rebuilt here must begin with what this machine has seen of it. */
  async #compareSeen(seen: SignedCheckpoint, head: LogHead, tree: TreeCheck): Promise<boolean | null> {
    const { size, root } = seen.checkpoint
    if (size === 0) return true
    if (size > head.checkpoint.size) {
      const what = `the log had ${size} entries and now shows ${head.checkpoint.size}`
      await this.#contradiction("shrunk", "ROLLBACK", what, seen, head)
      return false
    }
    const now = tree.rootAt(size)
    if (now === null) return null
    if (equalHashes(now, root)) return true
    await this.#contradiction(
      "consistency",
      "LOG_INVALID",
      `the log has signed another history of ${size} entries before`,
      seen,
      head,
    )
    return false
  }

  async #contradiction(
    check: "shrunk" | "consistency",
    code: "ROLLBACK" | "LOG_INVALID",
    what: string,
    seen: SignedCheckpoint,
    shown: SignedCheckpoint,
  ): Promise<void> {
    const view = { seen: this.#seen, trustChain: this.#trustChain }
    const proof = code === "ROLLBACK" ? null : await this.#forkProof(seen, shown)
    const { message, hint } = await contradiction(view, { code, what, seen, shown, proof })
    this.#findings.add({ kind: "log", code, check, path: "checkpoint", message: `${message}; ${hint}` })
  }

  /** What shows an outsider that the later state has another history than was signed before, if the tiles can show it. */
  async #forkProof(seen: SignedCheckpoint, shown: SignedCheckpoint): Promise<ForkError | null> {
    try {
      await proveConsistency(this.#source.files, seen.checkpoint, shown.checkpoint)
    } catch (error) {
      if (error instanceof ForkError) return error
    }
    return null
  }

  /** Only a log without any finding about itself is worth remembering. */
  async #keep(head: LogHead, seen: SignedCheckpoint): Promise<void> {
    if (this.#findings.all.some(({ kind }) => kind === "log")) return
    await this.#seen.keep(head, seen, async (one, other) => {
      const [from, to] = [one.checkpoint, other.checkpoint].toSorted((a, b) => a.size - b.size)
      if (from !== undefined && to !== undefined) await proveConsistency(this.#source.files, from, to)
    })
  }

  #report(head: LogHead | null, seen: SignedCheckpoint, consistent: boolean | null): AuditReport {
    return {
      origin: this.#trustChain.current.log.origin,
      size: head?.checkpoint.size ?? null,
      root: head === null ? null : encodeBase64(head.checkpoint.root),
      checkpoint: head?.note ?? null,
      quorum: head?.quorum ?? false,
      freshness: head?.freshness ?? null,
      seen: { size: seen.checkpoint.size, consistent },
      entries: this.#entries,
      judged: this.#judged,
      models: this.#models,
      versions: this.#history.versions,
      live: this.#live === null ? null : { versions: this.#live.versions },
      receipts: this.#receipts?.count ?? null,
      findings: this.#findings.all,
      omitted: this.#findings.omitted,
      seconds: (performance.now() - this.#started) / 1000,
    }
  }
}

function splitHashes(bytes: Uint8Array): Hash[] {
  return Array.from({ length: bytes.length / 32 }, (_, at) => bytes.subarray(32 * at, 32 * (at + 1)))
}
