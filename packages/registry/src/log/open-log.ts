/**
 * Brings a log up: the start-up proof, a higher epoch than whoever had the ledger before, and on the very first start the
 * two entries every log begins with.
 *
 *     0  genesis   origin, first key, pin of the trust root
 *     1  trust     the trust root itself, version 1
 */
import { type TrustChain, firstEntries, parseLeaf } from "@weighlock/manifest"
import { GrowingTree, type NoteSigner } from "@weighlock/tlog"

import type { Ledger, LogHead } from "../store/ledger.ts"
import { CheckpointCopy } from "./checkpoint-copy.ts"
import { OwnNotes, openSlots } from "./examine/checkpoints.ts"
import { Log, grow, signCheckpoint } from "./log.ts"
import { newEntry } from "./plan.ts"
import { type WitnessMode, restoreServed } from "./served.ts"
import { TreeNodes } from "./tree-nodes.ts"

export interface OpenLogOptions {
  readonly ledger: Ledger
  readonly trustChain: TrustChain
  readonly signer: NoteSigner
  /** Path of the copy of the checkpoint. */
  readonly copy: string
  readonly mode: WitnessMode
  /** Whether readers may have been shown what no quorum has signed; `require` does not go back behind that. */
  readonly shownNewest?: boolean
  readonly now: () => number
}

export interface OpenedLog {
  readonly log: Log
  readonly close: () => Promise<void>
}

/** The ledger has been proven (start-proof.ts), or is empty. */
export async function openLog(options: OpenLogOptions): Promise<OpenedLog> {
  const { ledger, trustChain, copy: path, mode, shownNewest = false } = options
  const empty = ((await ledger.head())?.size ?? 0) === 0
  const copy = await CheckpointCopy.open(path, await newestCopied(path, trustChain))
  try {
    const head = empty ? await begin(options, await ledger.fence()) : await ledger.fence()
    const at = await lastAt(ledger, head.size)
    const served = await restoreServed({ ledger, log: trustChain.current.log, mode, head, at, shownNewest })
    await copy.write((await ledger.checkpoint(head.size)) ?? "")
    const nodes = await TreeNodes.open(ledger, head.size)
    const log = new Log({ ...options, copy, nodes, served, head, lastAt: at })
    return { log, close: () => copy.close() }
  } catch (error) {
    await copy.close()
    throw error
  }
}

/** The note in the copy that must not be overwritten next: a torn write would leave none. */
async function newestCopied(path: string, { current }: TrustChain): Promise<string | null> {
  const slots = openSlots(await CheckpointCopy.read(path), new OwnNotes(current.log))
  return slots.toSorted((a, b) => b.size - a.size)[0]?.note ?? null
}

async function begin({ ledger, trustChain, signer, now }: OpenLogOptions, from: LogHead): Promise<LogHead> {
  const entries = firstEntries(trustChain, signer.vkey, now()).map((entry, index) => newEntry(index, entry))
  const grown = grow(new GrowingTree(), new TreeNodes(ledger), entries)
  const to = { size: grown.tree.size, root: grown.tree.root() }
  const note = await signCheckpoint(signer, trustChain.current.log.origin, to)
  await ledger.commit({ from, to, entries, tiles: grown.tiles, note })
  return { ...to, epoch: from.epoch }
}

async function lastAt(ledger: Ledger, size: number): Promise<number> {
  const [last] = await ledger.entries(size - 1, size)
  return last ? parseLeaf(last.leaf).at : 0
}
