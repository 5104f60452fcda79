/**
 * The sections of docs/errors.md, one a code:
 *
 *     ### `INTERNAL`
 *
 *     Exit 1 · HTTP 500 · not believed of a registry: `UNAVAILABLE`
 *
 *     A bug of ours.
 *
 *     **What to do:** Run it again with `WEIGHLOCK_DEBUG=1` and report what it prints.
 */
import { readPage } from "./markdown.ts"

export interface CodeSection {
  readonly code: string
  readonly exit: number
  /** `null`: it is no answer. */
  readonly http: number | null
  readonly believed: boolean
  /** What a client raises when a registry answers with it; `null` where it is no answer. */
  readonly raised: string | null
  readonly meaning: string
  readonly todo: string
}

const form =
  /^### `(?<code>[A-Z_]+)`\n\nExit (?<exit>\d+)(?: · HTTP (?<http>\d+) · (?:(?<believed>believed of a registry)|not believed of a registry: `(?<instead>[A-Z_]+)`))?\n\n(?<meaning>[^\n]+)\n\n\*\*What to do:\*\* (?<todo>[^\n]+)\n$/

/** Throws where a section has another form. */
export function codesOnThePage(): readonly CodeSection[] {
  const [, codes = ""] = readPage("errors.md").split("\n## Codes\n")
  const [, ...sections] = codes.split(/^(?=### )/m)
  return sections.map((section, at) => {
    const groups = form.exec(at === sections.length - 1 ? section : section.slice(0, -1))?.groups
    if (groups === undefined) throw new Error(`docs/errors.md has a section of another form: ${section}`)
    const { code = "", exit, http, believed, instead, meaning = "", todo = "" } = groups
    const isBelieved = believed !== undefined
    return {
      code,
      exit: Number(exit),
      http: http === undefined ? null : Number(http),
      believed: isBelieved,
      raised: isBelieved ? code : (instead ?? null),
      meaning,
      todo,
    }
  })
}
