/**
 * Receipts that publishers and consumers kept: each is a promise of the log, signed by it. A log that does not hold the
 * entry, or has another history at that size, has taken something back: WITHHELD.
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { checkpointOf, limits, parseBundle, parseLeaf, type TrustChain } from "@weighlock/manifest"
import { type Checkpoint, equalHashes, type Hash, hashLeaf, parseProof, verifyInclusion } from "@weighlock/tlog"
import { ClientError } from "../errors.ts"
import type { Findings } from "./finding.ts"
import { readBounded } from "./source.ts"

export interface Receipt {
  readonly path: string
  readonly index: number
  readonly leaf: Hash
  /** `acme/mnist@1.2.0` */
  readonly what: string
  readonly checkpoint: Checkpoint
}

/** Every `*.json` of the folder. One that is no bundle, or proves nothing, is a finding. Throws NOT_FOUND, FILE_UNREADABLE. */
export async function readReceipts(folder: string, trustChain: TrustChain, findings: Findings): Promise<Receipt[]> {
  const receipts: Receipt[] = []
  for (const name of (await listFolder(folder)).filter((one) => one.endsWith(".json")).toSorted()) {
    const path = join(folder, name)
    const bytes = await readBounded(path, limits.bundle)
    try {
      receipts.push(openReceipt(path, bytes, trustChain))
    } catch (error) {
      if (typeof (error as { code?: unknown }).code !== "string") throw error
      findings.log("receipt", `this receipt proves nothing: ${(error as Error).message}`, { path })
    }
  }
  return receipts
}

async function listFolder(folder: string): Promise<string[]> {
  return await readdir(folder).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException
    throw new ClientError(code === "ENOENT" ? "NOT_FOUND" : "FILE_UNREADABLE", `cannot list ${folder}: ${code}`, {
      cause,
    })
  })
}

function openReceipt(path: string, bytes: Uint8Array, trustChain: TrustChain): Receipt {
  const bundle = parseBundle(bytes)
  const checkpoint = checkpointOf(bundle, trustChain)
  const { index, hashes } = parseProof(bundle.proof ?? "")
  const entry = bundle.entry ?? new Uint8Array(0)
  const leaf = hashLeaf(entry)
  verifyInclusion({ leaf, index, size: checkpoint.size, root: checkpoint.root, proof: hashes })
  const { op, model, subject } = parseLeaf(entry)
  return { path, index, leaf, what: model === undefined ? op : `${model}@${subject}`, checkpoint }
}

/** Compares receipts with the log as it passes by, and what it promised with what it is. */
export class ReceiptCheck {
  readonly #byIndex: ReadonlyMap<number, readonly Receipt[]>
  readonly #receipts: readonly Receipt[]
  readonly #findings: Findings
  /** Leaf hash that was read at the receipt's index. */
  readonly #read = new Map<Receipt, Hash | null>()

  constructor(receipts: readonly Receipt[], findings: Findings) {
    this.#receipts = receipts
    this.#byIndex = Map.groupBy(receipts, ({ index }) => index)
    this.#findings = findings
  }

  get count(): number {
    return this.#receipts.length
  }

  /** Sizes at which the root of the log must be what a receipt says. */
  get sizes(): readonly number[] {
    return this.#receipts.map(({ checkpoint }) => checkpoint.size)
  }

  /** `hash` is what was read at that index; `null` where nothing could be. */
  entry(index: number, hash: Hash | null): void {
    for (const receipt of this.#byIndex.get(index) ?? []) this.#read.set(receipt, hash)
  }

  /**
   * `holds`: what was read is what the log has signed, else it was damaged on the way and says nothing about the log.
   * `rootAt` gives the log's root at a size; `null` where that could not be computed.
   */
  finish(size: number, holds: boolean, rootAt: (size: number) => Hash | null): void {
    for (const receipt of this.#receipts) {
      const { index, checkpoint } = receipt
      const hash = this.#read.get(receipt) ?? null
      if (index >= size) this.#withhold(receipt, `the log has ${size} entries`)
      else if (hash === null || (!holds && !equalHashes(hash, receipt.leaf)))
        this.#findings.log("receipt", "it cannot be compared: the log's files are damaged there", where(receipt))
      else if (!equalHashes(hash, receipt.leaf)) this.#withhold(receipt, "the log holds another entry there")
      if (checkpoint.size > size && index < size) {
        const message = `the log had signed ${checkpoint.size} entries, and now has ${size}`
        this.#findings.add({ kind: "log", code: "ROLLBACK", check: "receipt", ...where(receipt), message })
      } else if (index < size) this.#compareRoots(receipt, rootAt(checkpoint.size))
    }
  }

  #compareRoots(receipt: Receipt, root: Hash | null): void {
    const { checkpoint } = receipt
    if (root === null || equalHashes(root, checkpoint.root)) return
    const message = `the log had signed another history of ${checkpoint.size} entries than it has now`
    this.#findings.log("receipt", message, where(receipt))
  }

  #withhold(receipt: Receipt, why: string): void {
    const message = `${receipt.what} was logged as entry ${receipt.index}, and ${why}`
    this.#findings.add({ kind: "log", code: "WITHHELD", check: "receipt", ...where(receipt), message })
  }
}

function where({ path, index }: Receipt): { path: string; index: number } {
  return { path, index }
}
