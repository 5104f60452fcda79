/**
 * What a run leaves behind: `figures.json`, one SVG a figure, and the part of docs/benchmarks.md between two marks. A run
 * of some of the figures replaces those and keeps the others.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

import { type Figure, type Goal, short } from "./figure.ts"
import { plot } from "./plot.ts"

/** A figure, and where and when it was measured. */
export interface Kept extends Figure {
  readonly machine: string
  /** `2026-11-23` */
  readonly date: string
  readonly rounds: number
}

const [begin, end] = ["<!-- figures: made by bench/figures.ts -->", "<!-- end of figures -->"]

/** The kept figures with `made` put in, in the order of `names`; what has no name any more goes. */
export function keep(folder: string, made: readonly Kept[], names: readonly string[]): readonly Kept[] {
  const file = join(folder, "figures.json")
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Kept[]) : []
  const byName = new Map([...before, ...made].map((figure) => [figure.name, figure]))
  const kept = names.flatMap((name) => [...byName.values()].filter((figure) => figure.name.split(".")[0] === name))
  mkdirSync(folder, { recursive: true })
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`)
  for (const figure of kept) writeFileSync(join(folder, `${figure.name}.svg`), plot(figure))
  return kept
}

/** Puts the figures between the marks of `page`; makes the marks at the end of a page that has none. */
export function writePage(page: string, figures: readonly Kept[]): void {
  const text = readFileSync(page, "utf8")
  const [from, to] = [text.indexOf(begin), text.indexOf(end)]
  const body = [begin, ...figures.map(section), end].join("\n\n")
  const next = from < 0 || to < from ? `${text}\n${body}\n` : text.slice(0, from) + body + text.slice(to + end.length)
  writeFileSync(page, next)
}

function section({ title, name, bars, unit, goals, notes, command, setting, machine, date, rounds }: Kept): string {
  const rows = bars.map(({ label, value, detail = "", ours }) => [
    ours === true ? `**${label}**` : label,
    `${short(value)} ${unit}`,
    detail,
  ])
  return [
    `### ${title}`,
    `\`\`\`sh\n${command}\n\`\`\``,
    `![${title}](benchmarks/${name}.svg)`,
    table(["", "median", "lowest–highest, and more"], rows),
    ...(goals.length === 0 ? [] : [table(["goal", "measured", ""], goals.map(goalCells))]),
    [`${setting}; ${rounds} rounds; ${machine}; ${date}.`, ...notes].join(" "),
  ].join("\n\n")
}

const goalCells = ({ text, found, met }: Goal): readonly string[] => [text, found, met ? "met" : "**missed**"]

/** Columns as wide as their widest cell: the formatter would make them so. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, at) => Math.max(3, name.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `| ${widths.map((width, at) => (cells[at] ?? "").padEnd(width)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n")
}

export function report({ title, unit, bars, goals, notes }: Figure): string {
  return [
    title,
    ...bars.map(
      ({ label, value, detail = "" }) => `  ${label.padEnd(44)} ${short(value).padStart(8)} ${unit}  ${detail}`,
    ),
    ...goals.map(({ text, found, met }) => `  goal ${text}: ${found}, ${met ? "met" : "MISSED"}`),
    ...notes.map((note) => `  (${note})`),
  ].join("\n")
}
