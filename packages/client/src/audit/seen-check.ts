/** The log as an audit has rebuilt it must begin with what this machine has seen of it; else both are kept as evidence. */
import type { TrustChain } from "@weighlock/manifest"
import { equalHashes, ForkError, type Hash, type LogSource, proveConsistency } from "@weighlock/tlog"
import { contradiction } from "../growth.ts"
import type { LogHead } from "../log-head.ts"
import type { Seen, SignedCheckpoint } from "../seen.ts"
import type { Findings } from "./finding.ts"

export interface SeenCheckOptions {
  readonly seen: Seen
  readonly trustChain: TrustChain
  readonly source: LogSource
  /** A copy of the log may be older than the log, so a smaller one says less. */
  readonly isCopy: boolean
  readonly findings: Findings
}

/** `rootAt` gives the audited log's root at a size, `null` where it could not be computed. So does the answer. */
export async function checkSeen(
  options: SeenCheckOptions,
  before: SignedCheckpoint,
  head: LogHead,
  rootAt: (size: number) => Hash | null,
): Promise<boolean | null> {
  const { size, root } = before.checkpoint
  if (size === 0) return true
  if (size > head.checkpoint.size) {
    const older = options.isCopy ? " (if this is merely an older copy, take a new one)" : ""
    const what = `the log had ${size} entries and now shows ${head.checkpoint.size}${older}`
    return await report(options, "shrunk", what, before, head)
  }
  const now = rootAt(size)
  if (now === null) return null
  if (equalHashes(now, root)) return true
  return await report(
    options,
    "consistency",
    `the log has signed another history of ${size} entries before`,
    before,
    head,
  )
}

async function report(
  options: SeenCheckOptions,
  check: "shrunk" | "consistency",
  what: string,
  seen: SignedCheckpoint,
  shown: SignedCheckpoint,
): Promise<false> {
  const code = check === "shrunk" ? "ROLLBACK" : "LOG_INVALID"
  const proof = check === "shrunk" ? null : await proveFork(options.source, seen, shown)
  const { message, hint } = await contradiction(options, { code, what, seen, shown, proof })
  options.findings.add({ kind: "log", code, check, path: "checkpoint", message: `${message}; ${hint}` })
  return false
}

/** What shows an outsider that the later state contains another history than was signed, if the tiles can show it. */
async function proveFork(
  source: LogSource,
  seen: SignedCheckpoint,
  shown: SignedCheckpoint,
): Promise<ForkError | null> {
  try {
    await proveConsistency(source, seen.checkpoint, shown.checkpoint)
  } catch (error) {
    if (error instanceof ForkError) return error
  }
  return null
}
