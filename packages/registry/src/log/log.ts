/**
 * The log this registry keeps: appends in groups, and proves what it holds.
 *
 *     batch -> facts -> plan -> checkpoint signed -> one commit -> copy outside the database -> outcomes, proofs
 *
 * Nothing signed leaves before its commit and its copy are durable. One thing at a time: between facts and commit nobody
 * else writes. A commit that finds another head than it was planned for ends the process.
 */
import type { TrustChain } from "@weighlock/manifest"
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
import type { Ledger, LogCommit, LogHead, NewEntry } from "../store/ledger.ts"
import type { CheckpointCopy } from "./checkpoint-copy.ts"
import { Growth } from "./growth.ts"
import { Lane } from "./lane.ts"
import { type Candidate, type Outcome, type Plan, planPublishes } from "./plan.ts"
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

export class Log {
  readonly served: Served
  readonly #options: LogOptions
  readonly #lane = new Lane()
  readonly #onPublished: (() => void)[] = []
  readonly #onShown: (() => void)[] = []
  #head: LogHead
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
    return this.#lane.run(work)
  }

  /** Resolves when every commit under way is published: what the ledger shows by then, the log proves. */
  async settled(): Promise<void> {
    await this.#lane.run(async () => undefined)
  }

  /** One outcome a candidate, in order. UNAVAILABLE: nothing was written. Any other error: stop the process. */
  append(batch: readonly Candidate[]): Promise<readonly Outcome[]> {
    return this.#lane.run(async () => {
      if (this.#halted) throw this.#halted
      const { ledger, trustChain, now } = this.#options
      const before = { trustChain, size: this.#head.size, lastAt: this.#lastAt }
      const plan = planPublishes(before, batch, await ledger.facts(batch), now())
      if (plan.entries.length > 0) await this.#commit(plan)
      return plan.outcomes
    })
  }

  /** Nothing more is signed: the log is known not to be the one that was published. */
  halt(error: RegistryError): void {
    this.#halted = error
  }

  async #commit({ entries, lastAt }: Plan): Promise<void> {
    const { ledger, copy, nodes, now } = this.#options
    const grown = grow(this.#tree, nodes, entries)
    const to = { size: grown.tree.size, root: grown.tree.root() }
    const note = await signCheckpoint(this.#options.signer, this.origin, to)
    const commit: LogCommit = { from: this.#head, to, entries, tiles: grown.tiles, note }
    await ledger.commit(commit)
    await copy.write(note)
    nodes.add(grown.nodes)
    this.#tree = grown.tree
    this.#head = { ...to, epoch: this.#head.epoch }
    this.#lastAt = lastAt
    this.served.publish({ ...to, note, at: now() })
    for (const listener of [...this.#onPublished, ...this.#onShown]) listener()
  }

  /** Keeps what a witness has signed, and shows it with the checkpoint it is of. */
  async cosigned(cosigned: Cosigned): Promise<void> {
    const { size, vkey, line } = cosigned
    const { ledger } = this.#options
    await this.#lane.run(async () => {
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
export function grow(tree: GrowingTree, nodes: TreeNodes, entries: readonly NewEntry[]): Growth {
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
