/** What a monitor is asked, and what it answers. */
import type { SourceAddress } from "../audit/source.ts"
import type { Progress } from "../session.ts"
import type { Alert } from "./alert.ts"

export interface MonitorOptions {
  readonly source: SourceAddress
  /** A trust root file or a pin. */
  readonly trust: string
  /** File of the cursor; made by the first run. */
  readonly cursor: string
  /** Patterns of the names you own: `acme/*`. With a new one the log is read again from the beginning. */
  readonly owned: readonly string[]
  /** Keyids that you expect to publish them; unless given, of each name those that the trust root lets publish it. */
  readonly keys?: readonly string[]
  /** Seconds; also of silence, for which it is an hour unless given. */
  readonly maxStaleness?: number
  /** Resolves when the alert is where it belongs; if it rejects, the next run tries again. */
  readonly deliver: (alert: Alert) => Promise<void>
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface MonitorReport {
  /** Entries read before, and now. */
  readonly from: number
  readonly to: number
  /** Delivered. */
  readonly alerts: number
}
