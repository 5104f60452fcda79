/**
 * What a registry answered, written down outside its reach (another file system) as soon as the answer is complete. One line
 * each:
 *
 *     {"version":"1.0.0","entry":"eyJhdCI6…","proof":"c2sp.org/tlog-proof@v1\nindex 7\n…"}
 *     {"checkpoint":"models.acme.example/log\n8\n…"}
 */
import { appendFileSync, existsSync, mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface Acknowledged {
  readonly version: string
  /** Base64 of the leaf. */
  readonly entry: string
  readonly proof: string
}

export type Line = Acknowledged | { readonly checkpoint: string }

/** A folder in memory where there is one: a crash of the disk under test can't touch it. */
export function journalFolder(): string {
  return mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "weighlock-journal-"))
}

export class Journal {
  readonly path: string

  constructor(folder: string) {
    this.path = join(folder, "journal.jsonl")
  }

  write(line: Line): void {
    appendFileSync(this.path, `${JSON.stringify(line)}\n`)
  }

  lines(): Line[] {
    if (!existsSync(this.path)) return []
    const text = readFileSync(this.path, "utf8")
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line)
  }
}
