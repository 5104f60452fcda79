/**
 * Progress on stderr: a bar for a terminal, NDJSON for programs, nothing otherwise.
 *
 *     upload    [██████████··········]  52%  1.1/2.0 GiB  310 MiB/s  3s left
 *     audit     [████████············]  40%  416,800/1,042,000 entries  9,100/s  1m9s left
 *     {"phase":"upload","done":1181116006,"total":2147483648}
 */
import type { Progress } from "@weighlock/client"
import { grouped } from "./describe.ts"
import type { Io } from "./io.ts"

export type ProgressMode = "auto" | "bar" | "json" | "none"

const barWidth = 20
const interval = 100 // ms between two drawings

/** What the client tells, and what commands without it do. */
type Shown = Progress | (Omit<Progress, "phase"> & { readonly phase: "rebuild" })

export class ProgressView {
  readonly #io: Io
  readonly #mode: ProgressMode
  #phase = ""
  #startedAt = 0
  #drawnAt = 0
  #isDirty = false

  constructor(io: Io, mode: ProgressMode) {
    this.#io = io
    this.#mode = mode === "auto" ? (io.stderr.isTTY === true && (io.env["CI"] ?? "") === "" ? "bar" : "none") : mode
  }

  readonly update = (progress: Shown): void => {
    if (this.#mode === "none") return
    const now = Date.now()
    if (progress.phase !== this.#phase) {
      this.end()
      this.#phase = progress.phase
      this.#startedAt = now
    } else if (now - this.#drawnAt < interval && progress.done < progress.total) return
    this.#drawnAt = now
    if (this.#mode === "json") this.#io.stderr.write(`${JSON.stringify(progress)}\n`)
    else this.#draw(progress, (now - this.#startedAt) / 1000)
  }

  /** Clears the line; call it before anything else is written. */
  end(): void {
    if (this.#isDirty) this.#io.stderr.write("\r\u001b[K")
    this.#isDirty = false
  }

  #draw({ phase, done, total, unit }: Shown, seconds: number): void {
    const share = total === 0 ? 1 : done / total
    const filled = Math.round(share * barWidth)
    const rate = seconds > 0.2 ? done / seconds : 0
    const left = rate > 0 && done < total ? `  ${formatSeconds((total - done) / rate)} left` : ""
    const amount = unit === undefined ? formatBytes : (count: number): string => grouped(Math.floor(count))
    const bar = `[${"█".repeat(filled)}${"·".repeat(barWidth - filled)}] ${String(Math.floor(share * 100)).padStart(3)}%`
    const speed = rate > 0 ? `  ${amount(rate)}/s` : ""
    const line = `${phase.padEnd(9)} ${bar}  ${amount(done)}/${amount(total)}${unit === undefined ? "" : ` ${unit}`}${speed}${left}`
    this.#io.stderr.write(`\r\u001b[K${line.slice(0, (this.#io.stderr.columns ?? 80) - 1)}`)
    this.#isDirty = true
  }
}

export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))
  const value = bytes / 1024 ** power
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds)
  return whole < 60
    ? `${whole}s`
    : whole < 3600
      ? `${Math.floor(whole / 60)}m${whole % 60}s`
      : `${Math.floor(whole / 3600)}h${Math.floor((whole % 3600) / 60)}m`
}
