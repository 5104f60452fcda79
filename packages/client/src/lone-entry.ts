/**
 * An entry of the log on its own: every rule of the history but those about what came before it. Whoever reads one model,
 * and not the whole log, judges its entries so.
 *
 *     entry 412 says acme/fraud@9.9.9, and holds what alice signed as acme/mnist@1.0.0: subject
 */
import { applyEntry, type History, type OpenedEntry, type TrustChain } from "@weighlock/manifest"

/** Throws HistoryError. */
export function judgeLoneEntry(trustChain: TrustChain, index: number, opened: OpenedEntry): void {
  applyEntry(historyBefore(trustChain, index, opened), opened)
}

/** What the entry itself takes for granted. */
function historyBefore(trustChain: TrustChain, size: number, { seq = 0, prev }: OpenedEntry): History {
  return {
    trustChain,
    size,
    lastAt: 0,
    model: () => (seq === 0 || prev === undefined ? null : { seq: seq - 1, leaf: prev }),
    bound: () => null,
  }
}
