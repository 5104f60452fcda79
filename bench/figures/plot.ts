/**
 * A figure as SVG: a bar for each contender, ours in colour, the goals as dashed lines. No script, no font, no colour that
 * is lost on a dark page: it takes the reader's colour scheme.
 */
import { type Bar, type Figure, type Goal, short } from "./figure.ts"

const [width, top, step, thick] = [820, 52, 34, 18]
/** About as wide as a letter of the labels gets, and what a value with its spread takes right of the longest bar. */
const [letter, values] = [7.1, 270]

const style = `text{font:13px system-ui,sans-serif;fill:#1f2328;paint-order:stroke;stroke:#fff;stroke-width:3px}
.title{font-weight:600;font-size:15px}.small{font-size:11px;fill:#59636e}
.peer{fill:#8c959f}.ours{fill:#0969da}.goal{stroke:#bc4c00;stroke-width:1.5;stroke-dasharray:5 3}.named{font-size:11px;fill:#bc4c00}
@media (prefers-color-scheme:dark){text{fill:#e6edf3;stroke:#0d1117}.small{fill:#9198a1}.peer{fill:#6e7681}.ours{fill:#4493f8}.goal{stroke:#f0883e}.named{fill:#f0883e}}`

export function plot(figure: Figure): string {
  const goals = figure.goals.filter((goal): goal is Goal & { at: number } => goal.at !== undefined)
  const left = 24 + letter * Math.max(...figure.bars.map(({ label }) => label.length))
  const bottom = top + figure.bars.length * step
  const height = bottom + 14 * goals.length + 24
  const most = Math.max(...figure.bars.map(({ value }) => value), ...goals.map(({ at }) => at))
  const scale = (width - left - values) / most
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(figure.title)}">`,
    `<style>${style}</style>`,
    `<text class="title" x="12" y="22">${escape(figure.title)}</text>`,
    `<text class="small" x="12" y="40">${escape(`${figure.unit}, ${figure.better} is better; ${figure.setting}`)}</text>`,
    ...goals.map((goal, at) => drawGoal(goal, { x: left + goal.at * scale, bottom, line: at })),
    ...figure.bars.map((bar, at) => drawBar(bar, { left, y: top + at * step, scale })),
    "</svg>\n",
  ].join("\n")
}

interface Place {
  readonly left: number
  readonly y: number
  readonly scale: number
}

function drawBar({ label, value, ours, detail = "" }: Bar, { left, y, scale }: Place): string {
  const [length, middle] = [Math.max(1, value * scale), y + thick / 2 + 4]
  const more = detail === "" ? "" : `<tspan class="small" dx="6">${escape(detail)}</tspan>`
  return [
    `<text x="${left - 10}" y="${middle}" text-anchor="end">${escape(label)}</text>`,
    `<rect class="${ours === true ? "ours" : "peer"}" x="${left}" y="${y}" width="${length.toFixed(1)}" height="${thick}" rx="2"/>`,
    `<text x="${(left + length + 8).toFixed(1)}" y="${middle}">${short(value)}${more}</text>`,
  ].join("")
}

/** Its name stands below the bars, on whichever side of the line has room. */
function drawGoal(goal: Goal, { x, bottom, line }: { x: number; bottom: number; line: number }): string {
  const y = bottom + 14 * line + 10
  const [anchor, at] = x > width * 0.6 ? ["end", x - 5] : ["start", x + 5]
  return [
    `<line class="goal" x1="${x.toFixed(1)}" x2="${x.toFixed(1)}" y1="${top - 4}" y2="${y}"/>`,
    `<text class="named" x="${at.toFixed(1)}" y="${y}" text-anchor="${anchor}">goal ${escape(goal.text)}</text>`,
  ].join("")
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")
}
