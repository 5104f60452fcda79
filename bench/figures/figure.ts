/**
 * A figure: what was measured, of whom, against which goal. The page, the plots and the JSON are made from these.
 *
 *     { name: "verify", title: "verify a folder of 16 files", unit: "GB/s", better: "more",
 *       bars: [{ label: "weighlock verify", value: 2.7, ours: true }, { label: "openssl dgst", value: 1.5 }],
 *       goals: [{ text: "≥ 1.8 × openssl", found: "1.82 ×", met: true, at: 2.7 }], … }
 */
import type { Results } from "./runs.ts"

export interface Bar {
  readonly label: string
  /** The median of the runs, in the figure's unit. */
  readonly value: number
  readonly ours?: boolean
  /** Beside the value: memory, p99, spread. */
  readonly detail?: string
}

export interface Goal {
  readonly text: string
  readonly found: string
  readonly met: boolean
  /** Where it lies on the plot's axis, in the figure's unit. */
  readonly at?: number
}

export interface Figure {
  readonly name: string
  readonly title: string
  readonly unit: string
  readonly better: "more" | "less"
  readonly bars: readonly Bar[]
  readonly goals: readonly Goal[]
  /** Who was absent, what is not equal between the sides. */
  readonly notes: readonly string[]
  /** What makes this figure again. */
  readonly command: string
  /** Sizes and counts of this run, for the page. */
  readonly setting: string
}

export interface Ratio {
  /** Label of ours, and of the peer. */
  readonly ours: string
  readonly against: string
  /** How many times as good ours must be, at least. */
  readonly atLeast: number
  readonly text: string
}

/**
 * Judged by the median of the ratios of runs that stood side by side, not by the ratio of two medians. Null when the peer was
 * not there.
 */
export function ratioGoal(results: Results, better: Figure["better"], ratio: Ratio): Goal | null {
  const [ours, theirs] = [results.get(ratio.ours), results.get(ratio.against)]
  if (ours === undefined || theirs === undefined) return null
  const found = median(ours.map((value, run) => timesAsGood(better, value, theirs[run] ?? Number.NaN)))
  const peer = median(theirs)
  return {
    text: ratio.text,
    found: better === "less" && ratio.atLeast < 1 ? `${(1 / found).toFixed(2)} × the time` : `${found.toFixed(2)} ×`,
    met: found >= ratio.atLeast,
    at: better === "more" ? peer * ratio.atLeast : peer / ratio.atLeast,
  }
}

export function timesAsGood(better: Figure["better"], ours: number, theirs: number): number {
  return better === "more" ? ours / theirs : theirs / ours
}

/** Of an even count the lower of the two in the middle: a value that was measured. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN
}

/** A bar for each contender that ran, with the lowest and the highest of its runs. */
export function barsOf(
  results: Results,
  ours: readonly string[],
  details: ReadonlyMap<string, string> = new Map(),
): Bar[] {
  return [...results].map(([label, values]) => {
    const spread = values.length > 1 ? [`${short(Math.min(...values))}–${short(Math.max(...values))}`] : []
    const detail = [...spread, ...(details.has(label) ? [details.get(label)] : [])].join("; ")
    return { label, value: median(values), ...(ours.includes(label) ? { ours: true } : {}), detail }
  })
}

/** Three digits that count: 1.83, 41.2, 4,456. */
export function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en")
  return value.toFixed(value >= 10 ? 1 : 2)
}
