/**
 * A whole log, checked by someone who trusts nobody but the pinned trust root: every entry hashed to the signed root, every
 * hash tile compared, every signature and rule replayed, kept receipts and the live API compared with the result.
 *
 *     const report = await audit({ source: { kind: "folder", path: "/backup/acme-log" }, trust: "trust.json" })
 *     report.findings                    // [] — or what is wrong, where
 *
 * Memory does not grow with the entries' bytes: what is kept is the tree's edge and what the history has bound.
 */
import type { TrustChain } from "@weighlock/manifest"
import { encodeBase64, type Hash, proveConsistency, type Tile, tilePath } from "@weighlock/tlog"
import type { LogHead } from "../log-head.ts"
import { defaultState, Seen, type SignedCheckpoint } from "../seen.ts"
import { loadWitnessKeys } from "../witness-keys.ts"
import { faultOf, type JudgedBlock } from "./block.ts"
import { judgeBlocks } from "./block-pool.ts"
import { Findings } from "./finding.ts"
import { checkHead } from "./head-check.ts"
import { LiveCheck } from "./live.ts"
import { readReceipts, ReceiptCheck } from "./receipts.ts"
import { ReplayCheck } from "./replay-check.ts"
import type { AuditOptions, AuditReport } from "./report.ts"
import { checkSeen } from "./seen-check.ts"
import { type OpenSource, openSource } from "./source.ts"
import { TreeCheck } from "./tree-check.ts"
import { auditTrust } from "./trust.ts"

const width = 256
const mostMissing = 256

/** Findings are returned; thrown is what made it impossible to look: UNAVAILABLE, NOT_FOUND, FILE_UNREADABLE, STATE_DAMAGED … */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const source = openSource(options.source, options.signal)
  try {
    const trustChain = await auditTrust(options.trust, source.files)
    await loadWitnessKeys(trustChain)
    return await new Audit(options, source, trustChain).run()
  } finally {
    await source.close()
  }
}

class Audit {
  readonly #options: AuditOptions
  readonly #source: OpenSource
  readonly #trustChain: TrustChain
  readonly #findings: Findings
  readonly #seen: Seen
  readonly #started = performance.now()
  readonly #live: LiveCheck | null
  readonly #replay: ReplayCheck
  /** Tiles that were reported to be absent or no tiles. */
  readonly #reported = new Set<string>()
  #receipts: ReceiptCheck | null = null
  #entries = 0
  /** Bundles in a row that could not be read. */
  #missing = 0

  constructor(options: AuditOptions, source: OpenSource, trustChain: TrustChain) {
    this.#options = options
    this.#source = source
    this.#trustChain = trustChain
    this.#findings = new Findings(1000, options.onFinding)
    this.#seen = new Seen(options.state ?? defaultState(), trustChain)
    this.#live = this.#liveCheck()
    this.#replay = new ReplayCheck(trustChain, this.#findings, this.#live)
  }

  async run(): Promise<AuditReport> {
    await this.#seen.prepare()
    const before = await this.#seen.read()
    this.#receipts = await this.#receiptCheck()
    const note = await this.#source.files.checkpoint()
    const head = checkHead(note, this.#trustChain, this.#options.maxStaleness ?? null, this.#findings)
    if (head === null) return this.#report(null, before, null)
    const consistent = await this.#readLog(head, before)
    await this.#keep(head, before)
    return this.#report(head, before, consistent)
  }

  async #readLog(head: LogHead, before: SignedCheckpoint): Promise<boolean | null> {
    const { size, root } = head.checkpoint
    const marks = [before.checkpoint.size, ...(this.#receipts?.sizes ?? [])]
    const tree = new TreeCheck(size, root, (tile) => this.#readHashTile(tile), this.#findings, marks)
    for await (const block of judgeBlocks(size, this.#setup(), this.#source.files)) {
      this.#options.signal?.throwIfAborted()
      const count = Math.min(width, size - block.index * width)
      await this.#judge(block, count, tree)
      if (this.#isHopeless(block)) return this.#giveUp(block.index, size)
      const done = block.index * width + count
      this.#options.onProgress?.({ phase: "audit", unit: "entries", done, total: size })
    }
    const holds = await tree.finish()
    const rootAt = (at: number): Hash | null => tree.rootAt(at)
    this.#receipts?.finish(size, holds, rootAt)
    await this.#live?.finish(this.#replay.history, head.checkpoint, this.#replay.models, this.#replay.whole)
    const view = {
      seen: this.#seen,
      trustChain: this.#trustChain,
      source: this.#source.files,
      isCopy: this.#options.source.kind !== "registry",
      findings: this.#findings,
    }
    return await checkSeen(view, before, head, rootAt)
  }

  /** A signed size says nothing about how much is there: without this an audit of a hole would last for ever. */
  #isHopeless({ fault }: JudgedBlock): boolean {
    this.#missing = fault === null ? 0 : this.#missing + 1
    return this.#missing >= mostMissing
  }

  #giveUp(index: number, size: number): null {
    const message = `${mostMissing} bundles in a row cannot be read: the audit of ${size} entries ends here`
    this.#findings.log("bundle", message, { index: (index + 1) * width - 1 })
    this.#receipts?.finish(size, false, () => null)
    return null
  }

  async #judge(block: JudgedBlock, count: number, tree: TreeCheck): Promise<void> {
    const { index, fault } = block
    const hashes = fault === null ? splitHashes(block.hashes) : null
    if (fault !== null) {
      const path = tilePath({ level: "entries", index, width: count })
      this.#findings.log("bundle", fault, { index: index * width, path })
    }
    this.#entries += hashes?.length ?? 0
    const logged = await tree.block(index, hashes)
    for (let at = 0; at < count; at++) this.#receipts?.entry(index * width + at, logged?.[at] ?? null)
    if (this.#options.hashOnly !== true) await this.#replay.block(block, hashes, logged, count)
  }

  async #readHashTile(tile: Tile): Promise<Uint8Array | null> {
    const path = tilePath(tile)
    const found = await this.#source.files.read(path).catch((error: unknown) => faultOf(error))
    if (typeof found !== "string" && found.length === 32 * tile.width) return found
    const fault = typeof found === "string" ? found : `it has ${found.length} bytes, not ${32 * tile.width}`
    if (!this.#reported.has(path)) this.#findings.log("tile", fault, { path })
    this.#reported.add(path)
    return null
  }

  #setup(): Parameters<typeof judgeBlocks>[1] {
    const { source, hashOnly = false } = this.#options
    return { source, trust: this.#trustChain.envelopes, hashOnly }
  }

  #liveCheck(): LiveCheck | null {
    const { live = true, hashOnly = false } = this.#options
    const { transport } = this.#source
    if (!live || hashOnly || transport === null) return null
    return new LiveCheck(transport, this.#trustChain, this.#findings)
  }

  async #receiptCheck(): Promise<ReceiptCheck | null> {
    const { receipts } = this.#options
    if (receipts === undefined) return null
    return new ReceiptCheck(await readReceipts(receipts, this.#trustChain, this.#findings), this.#findings)
  }

  /** Only a log without any finding about itself is worth remembering. */
  async #keep(head: LogHead, before: SignedCheckpoint): Promise<void> {
    if (this.#findings.all.some(({ kind }) => kind === "log")) return
    await this.#seen.keep(head, before, async (one, other) => {
      const [from, to] = [one.checkpoint, other.checkpoint].toSorted((a, b) => a.size - b.size)
      if (from !== undefined && to !== undefined) await proveConsistency(this.#source.files, from, to)
    })
  }

  #report(head: LogHead | null, before: SignedCheckpoint, consistent: boolean | null): AuditReport {
    const { history, judged, models } = this.#replay
    return {
      origin: this.#trustChain.current.log.origin,
      size: head?.checkpoint.size ?? null,
      root: head === null ? null : encodeBase64(head.checkpoint.root),
      checkpoint: head?.note ?? null,
      quorum: head?.quorum ?? false,
      freshness: head?.freshness ?? null,
      seen: { size: before.checkpoint.size, consistent },
      entries: this.#entries,
      judged,
      models,
      versions: history.versions,
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
