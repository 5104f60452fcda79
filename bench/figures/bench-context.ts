/** What every measurement is handed: where to work, how much, and the command that a user would have. */
import { spawnSync } from "node:child_process"

import type { Figure } from "./figure.ts"
import type { Weighlock } from "./weighlock.ts"

export interface Bench {
  /** Empty, on the disk that is measured; gone afterwards. */
  readonly folder: string
  readonly rounds: number
  /** Bytes of a model that is hashed, and of one that is transferred. */
  readonly hashed: number
  readonly moved: number
  /** Requests in one run of a server. */
  readonly requests: number
  /** The command line, packed and installed elsewhere unless told otherwise. */
  weighlock(): Promise<Weighlock>
  say(line: string): void
  /** What a signal must not leave behind: called in reverse order, unless it was taken back. */
  cleanUp(task: () => Promise<void>): { done(): void }
}

/** Each figure as soon as it is there. None: what it takes is missing here, and `say` told what. */
export type Measure = (bench: Bench) => AsyncIterable<Figure>

/** The path of a program, or null. `names`: the first that is there. */
export function programAt(...names: readonly string[]): string | null {
  for (const name of names) {
    const { status, stdout } = spawnSync("sh", ["-c", `command -v "$1"`, "sh", name], { encoding: "utf8" })
    if (status === 0) return stdout.trim()
  }
  return null
}

export function gib(bytes: number): string {
  return bytes >= 2 ** 30 ? `${Number((bytes / 2 ** 30).toFixed(2))} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`
}

/** The line that makes one figure again. */
export function commandFor(name: string): string {
  return `npx -y pnpm@12.21.0 bench:figures --only ${name}`
}
