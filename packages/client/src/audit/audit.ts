/**
 * A whole log, checked by someone who trusts nobody but the pinned trust root: every entry hashed to the signed root, every
 * hash tile compared, every signature and rule replayed, kept receipts and the live API compared with the result.
 *
 *     const report = await audit({ source: { kind: "folder", path: "/backup/acme-log" }, trust: "trust.json" })
 *     report.findings                    // [] — or what is wrong, where
 *
 * Memory does not grow with the entries' bytes: what is kept is the tree's edge and what the history has bound.
 */
import { ManifestError, type TrustChain } from "@weighlock/manifest"
import { encodeBase64, type Hash, proveConsistency, type Tile, tilePath } from "@weighlock/tlog"
import { ClientError } from "../errors.ts"
import { requireGenesisByTiles } from "../genesis.ts"
import type { LogHead } from "../log-head.ts"
import { isNoAnswer, LogReader } from "../log-reader.ts"
import { defaultState, Seen, type SignedCheckpoint } from "../seen.ts"
import { loadWitnessKeys } from "../witness-keys.ts"
import { newestHead } from "../witnessed.ts"
import { faultOf, type JudgedBlock } from "./block.ts"
import { judgeBlocks } from "./block-pool.ts"
import { FilesCheck } from "./files-check.ts"
import { Findings } from "./finding.ts"
import { checkHead } from "./head-check.ts"
import { LiveCheck } from "./live.ts"
import { OneHistory } from "./live-bundle.ts"
import { readReceipts, ReceiptCheck } from "./receipts.ts"
import { ReplayCheck } from "./replay-check.ts"
import type { AuditOptions, AuditReport } from "./report.ts"
import { checkSeen } from "./seen-check.ts"
import { type OpenSource, openSource } from "./source.ts"
import { TreeCheck } from "./tree-check.ts"
import { auditTrust } from "./trust.ts"

const width = 256
const mostMissing = 256
const mostReported = 10_000

/**
 * Findings are returned; thrown is what made it impossible to look: UNAVAILABLE, NOT_FOUND, FILE_UNREADABLE, STATE_DAMAGED …
 * Whoever stops answering takes back no finding: then the report says that it is `incomplete`.
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  requireFilesToRead(options)
  const source = openSource(options.source, options.signal, options.allowStoreHosts)
  try {
    const trustChain = await auditTrust(options.trust, source.files, options.signal)
    await loadWitnessKeys(trustChain)
    return await new Audit(options, source, trustChain).run()
  } finally {
    await source.close()
  }
}

/** Throws USAGE. */
function requireFilesToRead({ files = false, hashOnly = false, source }: AuditOptions): void {
  if (files && (hashOnly || source.kind !== "registry"))
    throw new ClientError("USAGE", "only a registry has the files of models, and only a replay knows which they are", {
      hint: "audit the registry itself, and not by its hashes only",
    })
}

class Audit {
  readonly #options: AuditOptions
  readonly #source: OpenSource
  readonly #trustChain: TrustChain
  readonly #findings: Findings
  readonly #seen: Seen
  readonly #started = performance.now()
  #live: LiveCheck | null = null
  #files: FilesCheck | null = null
  #replay: ReplayCheck | null = null
  /** Tiles that were reported to be absent or no tiles. */
  readonly #reported = new Set<string>()
  #receipts: ReceiptCheck | null = null
  #head: LogHead | null = null
  #consistent: boolean | null = null
  #entries = 0
  /** Bundles in a row that could not be read. */
  #missing = 0

  constructor(options: AuditOptions, source: OpenSource, trustChain: TrustChain) {
    this.#options = options
    this.#source = source
    this.#trustChain = trustChain
    this.#findings = new Findings(1000, options.onFinding)
    this.#seen = new Seen(options.state ?? defaultState(), trustChain)
  }

  async run(): Promise<AuditReport> {
    await this.#seen.prepare()
    const before = await this.#seen.read()
    try {
      await this.#look(before)
      return this.#report(before, null)
    } catch (error) {
      if (!isNoAnswer(error) || this.#findings.none) throw error
      return this.#report(before, (error as Error).message)
    }
  }

  async #look(before: SignedCheckpoint): Promise<void> {
    this.#receipts = await this.#receiptCheck()
    const { source, signal, maxStaleness = null } = this.#options
    const isFolder = source.kind === "folder"
    const read = (): Promise<LogHead> => newestHead(this.#source.files, this.#trustChain, { isFolder, signal })
    this.#head = await checkHead(read, maxStaleness, this.#findings)
    if (this.#head === null) return
    await this.#readLog(this.#head, before)
    await this.#keep(this.#head, before)
  }

  async #readLog(head: LogHead, before: SignedCheckpoint): Promise<void> {
    this.#live = this.#liveCheck(head)
    const replay = (this.#replay = new ReplayCheck(this.#trustChain, this.#findings, this.#live, this.#filesCheck()))
    const { size, root } = head.checkpoint
    const marks = [before.checkpoint.size, ...(this.#receipts?.sizes ?? [])]
    const tree = new TreeCheck(size, root, (tile) => this.#readHashTile(tile), this.#findings, marks)
    for await (const block of judgeBlocks(size, this.#setup(), this.#source.files)) {
      this.#options.signal?.throwIfAborted()
      const count = Math.min(width, size - block.index * width)
      await this.#judge(block, count, tree, replay)
      if (this.#isHopeless(block)) return this.#giveUp(block.index, size)
      const done = block.index * width + count
      this.#options.onProgress?.({ phase: "audit", unit: "entries", done, total: size })
    }
    const holds = await tree.finish()
    const rootAt = (at: number): Hash | null => tree.rootAt(at)
    this.#receipts?.finish(size, holds, rootAt)
    const view = {
      seen: this.#seen,
      trustChain: this.#trustChain,
      source: this.#source.files,
      isCopy: this.#options.source.kind !== "registry",
      findings: this.#findings,
    }
    this.#consistent = await checkSeen(view, before, head, rootAt)
    await this.#live?.finish(replay.history, size, replay.models, replay.whole)
    await this.#files?.finish(this.#options.signal)
  }

  /** A signed size says nothing about how much is there: without this an audit of a hole would last for ever. */
  #isHopeless({ fault }: JudgedBlock): boolean {
    this.#missing = fault === null ? 0 : this.#missing + 1
    return this.#missing >= mostMissing
  }

  #giveUp(index: number, size: number): void {
    const message = `${mostMissing} bundles in a row cannot be read: the audit of ${size} entries ends here`
    this.#findings.log("bundle", message, { index: (index + 1) * width - 1 })
    this.#receipts?.finish(size, false, () => null)
  }

  async #judge(block: JudgedBlock, count: number, tree: TreeCheck, replay: ReplayCheck): Promise<void> {
    const { index, fault } = block
    const hashes = fault === null ? splitHashes(block.hashes) : null
    if (fault !== null) {
      const path = tilePath({ level: "entries", index, width: count })
      this.#findings.log("bundle", fault, { index: index * width, path })
    }
    this.#entries += hashes?.length ?? 0
    const logged = await tree.block(index, hashes)
    for (let at = 0; at < count; at++) this.#receipts?.entry(index * width + at, logged?.[at] ?? null)
    if (this.#options.hashOnly !== true) await replay.block(block, hashes, logged, count)
  }

  async #readHashTile(tile: Tile): Promise<Uint8Array | null> {
    const path = tilePath(tile)
    const found = await this.#source.files.read(path).catch((error: unknown) => faultOf(error))
    if (typeof found !== "string" && found.length === 32 * tile.width) return found
    const fault = typeof found === "string" ? found : `it has ${found.length} bytes, not ${32 * tile.width}`
    if (!this.#reported.has(path)) this.#findings.log("tile", fault, { path })
    if (this.#reported.size < mostReported) this.#reported.add(path)
    return null
  }

  #setup(): Parameters<typeof judgeBlocks>[1] {
    const { source, hashOnly = false } = this.#options
    return { source, trust: this.#trustChain.envelopes, hashOnly }
  }

  #liveCheck(head: LogHead): LiveCheck | null {
    const { live = true, hashOnly = false } = this.#options
    const { transport } = this.#source
    if (!live || hashOnly || transport === null) return null
    const [trustChain, seen] = [this.#trustChain, this.#seen]
    const history = new OneHistory({ trustChain, seen, log: new LogReader(transport) }, head)
    return new LiveCheck(transport, trustChain, this.#findings, history)
  }

  #filesCheck(): FilesCheck | null {
    const { transport } = this.#source
    if (this.#options.files !== true || transport === null) return null
    const onProgress = (done: number, total: number): void =>
      this.#options.onProgress?.({ phase: "files", unit: "entries", done, total })
    return (this.#files = new FilesCheck(transport, this.#findings, onProgress))
  }

  async #receiptCheck(): Promise<ReceiptCheck | null> {
    const { receipts } = this.#options
    if (receipts === undefined) return null
    return new ReceiptCheck(await readReceipts(receipts, this.#trustChain, this.#findings), this.#findings)
  }

  /** What is remembered is trusted by whoever reads the log next: only a log without any finding is. */
  async #keep(head: LogHead, before: SignedCheckpoint): Promise<void> {
    if (!this.#findings.none || !(await this.#isOurs(head))) return
    await this.#seen.keep(head, before, async (one, other) => {
      const [from, to] = [one.checkpoint, other.checkpoint].toSorted((a, b) => a.size - b.size)
      if (from !== undefined && to !== undefined) await proveConsistency(this.#source.files, from, to)
    })
  }

  /** A replay has judged the genesis with every other entry; hashes alone do not say whose log it is. */
  async #isOurs({ checkpoint }: LogHead): Promise<boolean> {
    if (this.#options.hashOnly !== true || checkpoint.size === 0) return true
    try {
      await requireGenesisByTiles(this.#source.files, this.#trustChain, checkpoint)
      return true
    } catch (error) {
      if (!(error instanceof ManifestError)) throw error
      this.#findings.log("genesis", error.message, { index: 0 })
      return false
    }
  }

  #report(before: SignedCheckpoint, incomplete: string | null): AuditReport {
    const [head, replay] = [this.#head, this.#replay]
    return {
      origin: this.#trustChain.current.log.origin,
      size: head?.checkpoint.size ?? null,
      root: head === null ? null : encodeBase64(head.checkpoint.root),
      checkpoint: head?.note ?? null,
      quorum: head?.quorum ?? false,
      freshness: head?.freshness ?? null,
      seen: { size: before.checkpoint.size, consistent: this.#consistent },
      entries: this.#entries,
      judged: replay?.judged ?? 0,
      models: replay?.models ?? 0,
      versions: replay?.history.versions ?? 0,
      live: this.#live === null ? null : { versions: this.#live.versions },
      files: this.#files === null ? null : { count: this.#files.files, bytes: this.#files.bytes },
      receipts: this.#receipts?.count ?? null,
      findings: this.#findings.all,
      omitted: this.#findings.omitted,
      incomplete,
      seconds: (performance.now() - this.#started) / 1000,
    }
  }
}

function splitHashes(bytes: Uint8Array): Hash[] {
  return Array.from({ length: bytes.length / 32 }, (_, at) => bytes.subarray(32 * at, 32 * (at + 1)))
}
