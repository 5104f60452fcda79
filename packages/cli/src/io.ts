/** Everything a command touches of the world, handed in: so a test can run commands and read what they wrote. */
import type { Readable } from "node:stream"

export interface Sink {
  write(text: string): unknown
  readonly isTTY?: boolean
  readonly columns?: number
}

export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Relative paths resolve against it. */
  readonly cwd: string
  readonly stdin: Readable & { isTTY?: boolean; setRawMode?(mode: boolean): unknown }
  readonly stdout: Sink
  readonly stderr: Sink
  /** Aborted by SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** Has `task` called at each SIGHUP, until what it returns is. */
  readonly onHangup?: (task: () => void) => () => void
  /** Told that a thread is stuck: the process can't be left in the usual way. */
  readonly onStuck?: () => void
}
