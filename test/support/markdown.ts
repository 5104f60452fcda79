/**
 * The marked blocks of a page in docs/. A comment before a fence says what the block is, so that a test can hold it:
 *
 *     <!-- file: bundle.json -->
 *
 *     ```text
 *     {"envelope":…}
 *     ```
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"

export interface Block {
  /** `file`, `payload`, `script` … */
  readonly kind: string
  readonly about: string
  /** Without the last line end. */
  readonly text: string
}

export const repository: string = join(import.meta.dirname, "..", "..")

export function readPage(name: string): string {
  return readFileSync(join(repository, "docs", name), "utf8")
}

export function blocksOf(page: string): readonly Block[] {
  const marked = /<!-- (?<kind>\w+): (?<about>[^\n]+?) -->\n\n```\w*\n(?<text>[\s\S]*?)\n```\n/g
  return [...page.matchAll(marked)].map(({ groups }) => ({
    kind: groups?.["kind"] ?? "",
    about: groups?.["about"] ?? "",
    text: groups?.["text"] ?? "",
  }))
}

export function blockOf(page: string, kind: string, about: string): string {
  const found = blocksOf(page).filter((block) => block.kind === kind && block.about === about)
  if (found.length !== 1) throw new Error(`${found.length} blocks are marked ${kind}: ${about}, expected 1`)
  return found[0]?.text ?? ""
}

/** The rows of the tables below a heading, cell by cell, without head and rule. */
export function tableBelow(page: string, heading: string): readonly (readonly string[])[] {
  const [, section = ""] = page.split(`\n${heading}\n`)
  const [own = ""] = section.split(/\n#{1,6} /)
  const lines = own.split("\n").filter((line) => line.startsWith("|"))
  const isRule = (line: string | undefined): boolean => line !== undefined && /^[|\s:-]+$/.test(line)
  return lines
    .filter((line, at) => !isRule(line) && !isRule(lines[at + 1]))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
}
