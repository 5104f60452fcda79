/**
 * The log this registry keeps: appends in groups, and proves what it holds.
 *
 *     batch -> facts -> plan -> checkpoint signed ─┐
 *                                                  └─ one commit -> copy outside the database -> outcomes, proofs
 *
 * Nothing signed leaves before its commit and its copy are durable. Batches are planned one after the other and committed in
 * that order: while one is being committed the next is planned on top of it (ahead.ts). A commit that fails takes those
 * planned on top with it, and one that finds another head than it was planned for ends the process.
 */
import type { TrustChain } from "@weighlock/manifest"
import { SerialQueue } from "@weighlock/node"
import {
  type Hash,
  GrowingTree,
  type NoteSigner,
  consistencyNodes,
  consistencyProof,
  formatCheckpoint,
  formatNote,
  inclusionNodes,
  inclusionProof,
  rootNodes,
  signNote,
  treeRoot,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import type { Ledger, LogHead, NewEntry } from "../store/ledger.ts"
import { Ahead } from "./ahead.ts"
import type { CheckpointCopy } from "./checkpoint-copy.ts"
import { Growth } from "./growth.ts"
import { type Candidate, type Outcome, planPublishes } from "./plan.ts"
import type { Cosigned, Served } from "./served.ts"
import type { TreeNodes } from "./tree-nodes.ts"

export interface LogOptions {
  readonly ledger: Ledger
  readonly trustChain: TrustChain
  readonly signer: NoteSigner
  readonly copy: CheckpointCopy
  readonly nodes: TreeNodes
  readonly served: Served
  readonly head: LogHead
  /** `at` of the last entry. */
  readonly lastAt: number
  /** ms since epoch */
  readonly now: () => number
}

/** What one commit does. */
interface Step {
  readonly entries: readonly NewEntry[]
  readonly grown: Growth
  readonly to: { readonly size: number; readonly root: Hash }
  readonly note: string
}

export class Log {
  readonly served: Served
  readonly #options: LogOptions
  readonly #planning = new SerialQueue()
  readonly #committing = new SerialQueue()
  readonly #ahead = new Ahead()
  readonly #onPublished: (() => void)[] = []
  readonly #onShown: (() => void)[] = []
  /** As committed. */
  #head: LogHead
  /** As planned: what the next batch goes on top of. */
  #tree: GrowingTree
  #lastAt: number
  #halted: RegistryError | null = null

  constructor(options: LogOptions) {
    this.#options = options
    this.served = options.served
    this.#head = options.head
    this.#lastAt = options.lastAt
    const { size } = options.head
    this.#tree = new GrowingTree(
      size,
      rootNodes(size).map(({ level, index }) => options.nodes.read(level, index)),
    )
  }

  get origin(): string {
    return this.#options.trustChain.current.log.origin
  }

  /** Told after every commit: there is a newer checkpoint. */
  onPublished(listener: () => void): void {
    this.#onPublished.push(listener)
  }

  /** Told whenever readers may be shown another note: after a commit, or when a witness has signed. */
  onShown(listener: () => void): void {
    this.#onShown.push(listener)
  }

  /** Runs alone: no batch is between its facts and its commit meanwhile. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#planning.run(() => this.#committing.run(work))
  }

  /** Resolves when every commit under way is published: what the ledger shows by then, the log proves. */
  async settled(): Promise<void> {
    await this.#committing.run(async () => undefined)
  }

  /** One outcome a candidate, in order. UNAVAILABLE: not signed, so nothing was written. Any other error: stop the process. */
  async append(batch: readonly Candidate[]): Promise<readonly Outcome[]> {
    const { outcomes, committed } = await this.#planning.run(() => this.#plan(batch))
    await committed
    return outcomes
  }

  /** Nothing more is signed: the log is known not to be the one that was published. */
  halt(error: RegistryError): void {
    this.#halted ??= error
  }

  /** `committed` says when the outcomes are true: those without an entry of their own rest on entries planned before. */
  async #plan(batch: readonly Candidate[]): Promise<{ outcomes: readonly Outcome[]; committed: Promise<void> }> {
    if (this.#halted) throw this.#halted
    const { ledger, trustChain, nodes, signer, now } = this.#options
    const facts = await this.#ahead.facts(ledger, batch)
    const before = { trustChain, size: this.#tree.size, lastAt: this.#lastAt }
    const { outcomes, entries, lastAt } = planPublishes(before, batch, facts, now())
    if (entries.length === 0) return { outcomes, committed: this.#commit(null) }
    const grown = grow(this.#tree, { read: this.#ahead.over(nodes.read) }, entries)
    const to = { size: grown.tree.size, root: grown.tree.root() }
    const note = await signCheckpoint(signer, this.origin, to)
    this.#ahead.add(entries, grown)
    this.#tree = grown.tree
    this.#lastAt = lastAt
    return { outcomes, committed: this.#commit({ entries, grown, to, note }) }
  }

  #commit(step: Step | null): Promise<void> {
    const committed = this.#committing.run(async () => {
      if (this.#halted) throw this.#halted
      try {
        if (step) await this.#write(step)
      } catch (error) {
        // What was planned on top of it was never to be.
        this.halt(new RegistryError("STORE_FAILED", "the commit before this one failed", { cause: error }))
        throw error
      }
    })
    committed.catch(() => undefined) // whoever planned it hears of it, at the latest when its plan is made
    return committed
  }

  async #write({ entries, grown, to, note }: Step): Promise<void> {
    const { ledger, copy, nodes, now } = this.#options
    await ledger.commit({ from: this.#head, to, entries, tiles: grown.tiles, note })
    await copy.write(note)
    nodes.add(grown.nodes)
    this.#ahead.committed()
    this.#head = { ...to, epoch: this.#head.epoch }
    this.served.publish({ ...to, note, at: now() })
    for (const listener of [...this.#onPublished, ...this.#onShown]) listener()
  }

  /** Keeps what a witness has signed, and shows it with the checkpoint it is of. */
  async cosigned(cosigned: Cosigned): Promise<void> {
    const { size, vkey, line } = cosigned
    const { ledger } = this.#options
    await this.#committing.run(async () => {
      await ledger.addCosignatures(size, [{ vkey, line }])
      this.served.cosigned(cosigned)
      await ledger.forgetCosignatures(this.served.witnessed?.size ?? 0)
    })
    for (const listener of this.#onShown) listener()
  }

  /** The inclusion proof of an entry in the tree of `size`; both within what is published. */
  async inclusion(index: number, size: number): Promise<Hash[]> {
    const { nodes } = this.#options
    await nodes.load(inclusionNodes(index, size))
    return inclusionProof(index, size, nodes.read)
  }

  /** From one published size to another, the smaller first. */
  async consistency(from: number, to: number): Promise<Hash[]> {
    const { nodes } = this.#options
    await nodes.load(consistencyNodes(from, to))
    return consistencyProof(from, to, nodes.read)
  }

  /** The root of the first `size` entries; within what is published. */
  async root(size: number): Promise<Hash> {
    const { nodes } = this.#options
    await nodes.load(rootNodes(size))
    return treeRoot(size, nodes.read)
  }

  /** The leaf hash that the tree holds. */
  async leafHash(index: number): Promise<Hash> {
    const { nodes } = this.#options
    await nodes.load([{ level: 0, index }])
    return nodes.read(0, index)
  }

  /** Hashes of a tile: `null` when the published log has no tile of that width. */
  async tile(level: number, n: number, width: number): Promise<Uint8Array | null> {
    return await this.#options.nodes.tile(level, n, width)
  }
}

/** The tree with these entries on top. */
export function grow(tree: GrowingTree, nodes: Pick<TreeNodes, "read">, entries: readonly NewEntry[]): Growth {
  const growth = new Growth(tree, nodes.read)
  for (const { hash } of entries) growth.append(hash)
  return growth
}

/** UNAVAILABLE when the signer does not sign: nothing was written yet. */
export async function signCheckpoint(
  signer: NoteSigner,
  origin: string,
  head: { readonly size: number; readonly root: Hash },
): Promise<string> {
  try {
    return formatNote(await signNote(formatCheckpoint({ origin, ...head }), [signer]))
  } catch (cause) {
    throw new RegistryError("UNAVAILABLE", "the log's checkpoint could not be signed", { cause, hint: "try again" })
  }
}
