/**
 * Witnesses sign a checkpoint after the log has: the newest one may lack their signatures for some seconds, and nobody has to
 * fail for that.
 */
import type { TrustChain } from "@weighlock/manifest"
import { type Backoff, retrying } from "@weighlock/node"
import { ClientError, codeOf } from "./errors.ts"
import { type LogHead, openHead } from "./log-head.ts"
import type { LogFiles } from "./log-reader.ts"

/** How long the witnesses may take. */
const timeoutMs = 10_000
/** Asked again as often from first to last: what is waited for comes at any time. */
const backoff: Backoff = { firstMs: 250, factor: 1, longestMs: 250 }

/** Asks again for up to 10 s while the answer is NOT_YET_WITNESSED. */
export async function untilWitnessed<T>(ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return await retrying(ask, { mayHelp: isNotYetWitnessed, attempts: Infinity, timeoutMs, backoff, signal })
}

export function isNotYetWitnessed(error: unknown): boolean {
  return codeOf(error) === "NOT_YET_WITNESSED"
}

/** Throws NOT_YET_WITNESSED. */
export function requireQuorum<T extends LogHead>(head: T): T {
  if (head.quorum) return head
  throw new ClientError("NOT_YET_WITNESSED", "too few witnesses have confirmed the log's newest state", {
    hint: "ask again in a few seconds",
  })
}

/**
 * The newest state with a quorum; where there is none in 10 s, the last one shown, without. A folder does not change while one waits.
 * Throws LOG_INVALID.
 */
export async function newestHead(
  files: LogFiles,
  trustChain: TrustChain,
  { isFolder, signal }: { readonly isFolder: boolean; readonly signal?: AbortSignal | undefined },
): Promise<LogHead> {
  const read = async (): Promise<LogHead> => openHead(await files.checkpoint(), trustChain)
  let last = await read()
  if (last.quorum || isFolder) return last
  try {
    return await untilWitnessed(async () => requireQuorum((last = await read())), signal)
  } catch (error) {
    if (isNotYetWitnessed(error)) return last
    throw error
  }
}
