/**
 * What is planned and not yet committed. While one batch is being committed the next is planned on top of it, and must see
 * what the ledger does not show yet.
 *
 *     ledger  0 … 40      being committed  41 … 64      the next batch  65 …  follows acme/mnist 1.2.0, entry 52
 */
import type { Hash, NodeReader } from "@weighlock/tlog"

import type { Facts, Ledger, NewEntry, Wanted } from "../store/ledger.ts"
import type { Growth } from "./growth.ts"
import { nameOf } from "./plan.ts"

interface Step {
  readonly grown: Growth
  readonly holders: Map<string, NonNullable<Facts["holder"]>>
  readonly newest: Map<string, NonNullable<Facts["newest"]>>
}

export class Ahead {
  /** The oldest first. */
  readonly #steps: Step[] = []

  add(entries: readonly NewEntry[], grown: Growth): void {
    const step: Step = { grown, holders: new Map(), newest: new Map() }
    for (const { index, hash, place, manifest } of entries) {
      if (manifest) step.holders.set(nameOf(manifest), { index, digest: manifest.digest })
      if (place) step.newest.set(place.model, { seq: place.seq, hash })
    }
    this.#steps.push(step)
  }

  /** The oldest is committed: the ledger shows it. */
  committed(): void {
    this.#steps.shift()
  }

  /** What the ledger will say once all this is committed. */
  async facts(ledger: Pick<Ledger, "facts">, batch: readonly Wanted[]): Promise<readonly Facts[]> {
    const steps = [...this.#steps] // before the ledger is asked: what is committed meanwhile may be in both, never in neither
    const facts = await ledger.facts(batch)
    return steps.length === 0 ? facts : facts.map((known, i) => factsAfter(steps, known, batch[i] as Wanted))
  }

  /** Reads hashes of tiles (levels 0, 8, 16 …): those that are planned, and the others by `read`. */
  over(read: NodeReader): NodeReader {
    return (level, index) => this.#hash(level, index) ?? read(level, index)
  }

  #hash(level: number, index: number): Hash | undefined {
    for (const { grown } of this.#steps) {
      const hash = grown.hash(level, index)
      if (hash) return hash
    }
    return undefined
  }
}

function factsAfter(steps: readonly Step[], known: Facts, wanted: Wanted): Facts {
  const name = nameOf(wanted)
  let { holder, newest } = known
  for (const step of steps) {
    holder = step.holders.get(name) ?? holder
    newest = step.newest.get(wanted.model) ?? newest
  }
  return { ...known, holder, newest }
}
