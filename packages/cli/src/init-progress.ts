/**
 * What an `init` has begun, so that one that was killed is taken up by the next: until the trust root is there, what it made
 * is nobody's.
 *
 *     .weighlock-init.json     {"label":"alice","keyid":"sha256:…"}     removed when all is done
 */
import { readFile, rm } from "node:fs/promises"
import { join } from "node:path"
import { createStateFile, replaceFile } from "./files.ts"

export class InitProgress {
  readonly #path: string

  constructor(folder: string) {
    this.#path = join(folder, ".weighlock-init.json")
  }

  async isThere(): Promise<boolean> {
    return (await this.#read()) !== ""
  }

  /** Whether an init was stopped here. */
  async begin(): Promise<boolean> {
    return !(await createStateFile(this.#path, "{}\n"))
  }

  /** Before the key's file is there. */
  async tellKey(label: string, keyid: string): Promise<void> {
    await replaceFile(this.#path, `${JSON.stringify({ label, keyid })}\n`, 0o600)
  }

  /** Whether an init that was stopped began to make a key of that label; the passphrase of no other is asked for. */
  async isOfKey(label: string): Promise<boolean> {
    return (await this.#read()).startsWith(JSON.stringify({ label }).slice(0, -1))
  }

  /** Whether that init made this key. */
  async hasMade(label: string, keyid: string): Promise<boolean> {
    return (await this.#read()) === `${JSON.stringify({ label, keyid })}\n`
  }

  async #read(): Promise<string> {
    return await readFile(this.#path, "utf8").catch(() => "")
  }

  async end(): Promise<void> {
    await rm(this.#path, { force: true })
  }
}
