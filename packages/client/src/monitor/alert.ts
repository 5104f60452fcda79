/** What a monitor tells its user. */

export interface Alert {
  /** The same event has the same id, in every run: delivery is at least once. */
  readonly id: string
  readonly code: AlertCode
  readonly message: string
  /** Of the log. */
  readonly origin: string
  readonly index?: number
  readonly model?: string
  readonly version?: string
  /** Those that are not known. */
  readonly keyids?: readonly string[]
  /** When it was noticed, ISO 8601. */
  readonly at: string
}

export const alertCodes = {
  UNKNOWN_KEY: "a name of yours was published under a key that you did not name",
  FORK: "the log has signed two histories",
  ROLLBACK: "the log shows less than it showed before",
  GAP: "entries that the log has signed cannot be read, or a name's numbering has a gap",
  STALE: "no witness has confirmed the log, or it could not be read to its end, for longer than you accept",
  NOT_YET_WITNESSED: "too few witnesses have confirmed what the log shows, for longer than that takes",
  LOG_INVALID: "a checkpoint, a signature or an entry does not hold",
  RULE_BROKEN: "an entry breaks a rule of the history",
} as const

export type AlertCode = keyof typeof alertCodes
