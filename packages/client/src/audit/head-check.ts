/** The checkpoint an audit goes by: signed by the log, cosigned as the trust root asks, and fresh enough. */
import { codeOf } from "../errors.ts"
import { requireFreshHead } from "../log.ts"
import type { LogHead } from "../log-head.ts"
import type { Finding, Findings } from "./finding.ts"

const path = "checkpoint"

/** `null` after a finding that leaves nothing to go by: not signed by the log. */
export async function checkHead(
  read: () => Promise<LogHead>,
  maxStaleness: number | null,
  findings: Findings,
): Promise<LogHead | null> {
  const head = await byFinding(findings, "checkpoint", "LOG_INVALID", read)
  if (head === null) return null
  if (!head.quorum) {
    const message = "too few witnesses have cosigned the checkpoint"
    findings.add({ kind: "log", code: "NOT_YET_WITNESSED", check: "quorum", path, message })
  }
  await byFinding(findings, "staleness", "STALE", async () => requireFreshHead(head, maxStaleness, new Date()))
  return head
}

/** What `open` throws with that code becomes a finding. */
async function byFinding<T>(
  findings: Findings,
  check: "checkpoint" | "staleness",
  code: "LOG_INVALID" | "STALE",
  open: () => Promise<T>,
): Promise<T | null> {
  try {
    return await open()
  } catch (error) {
    if (!(error instanceof Error) || codeOf(error) !== code) throw error
    findings.add({ kind: "log", code, check, path, message: error.message } satisfies Finding)
    return null
  }
}
