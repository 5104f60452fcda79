/**
 * The token file as it is now: read again when it changes (a Kubernetes secret is swapped under its name) and when somebody
 * asks for it. One that can't be read, or is of another form, changes nothing; that is logged, and the last good one counts.
 */
import { stat } from "node:fs/promises"

import type { Logger } from "pino"

import { readConfigFile } from "../config-file.ts"
import { parseTokens, type Tokens } from "./auth.ts"

/** ms between two looks. */
const interval = 2000

export class TokenFile {
  readonly #path: string
  #logger: Logger | null = null
  #tokens: Tokens
  #sight: string
  #reading: Promise<void> = Promise.resolve()

  private constructor(path: string, tokens: Tokens, sight: string) {
    this.#path = path
    this.#tokens = tokens
    this.#sight = sight
  }

  /** Throws USAGE. */
  static async open(path: string): Promise<TokenFile> {
    const sight = await sightOf(path) // before it is read: a change in between is seen later
    return new TokenFile(path, parseTokens(await readConfigFile(path, "token file")), sight)
  }

  get current(): Tokens {
    return this.#tokens
  }

  /** Begins to look, and returns what ends it. */
  watch(logger: Logger): () => void {
    this.#logger = logger
    const timer = setInterval(() => void this.#look(), interval).unref()
    return () => clearInterval(timer)
  }

  /** Reads it again, changed or not. Never throws. */
  async reload(): Promise<void> {
    this.#sight = ""
    await this.#look()
  }

  #look(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#readChanged())
    return this.#reading
  }

  async #readChanged(): Promise<void> {
    const sight = await sightOf(this.#path)
    if (sight === this.#sight) return
    this.#sight = sight
    try {
      this.#tokens = parseTokens(await readConfigFile(this.#path, "token file"))
      this.#logger?.info({ tokens: this.#tokens.tokens.map(({ name }) => name) }, "token file read again")
    } catch (error) {
      this.#logger?.error({ err: error }, "the token file cannot be read: the tokens before it still count")
    }
  }
}

/** Of the file itself, behind whatever links. */
async function sightOf(path: string): Promise<string> {
  const found = await stat(path, { bigint: true }).catch(() => null)
  return found === null ? "absent" : [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join()
}
