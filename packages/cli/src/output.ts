/**
 * stdout is data, stderr is for people. With `--json` a command prints exactly one document on stdout:
 *
 *     {"schemaVersion":1,"model":"acme/mnist","version":"1.2.0",…}
 *     {"error":{"code":"VERSION_EXISTS","message":"…","hint":"…"}}
 */
import { CodedError } from "@weighlock/manifest"
import { exitCodeOf } from "./errors.ts"
import type { Io } from "./io.ts"

export interface OutputOptions {
  readonly json?: boolean
  readonly quiet?: boolean
}

export interface Result {
  /** The members of the JSON document. */
  readonly json: Readonly<Record<string, unknown>>
  /** What a person reads, one or more lines. */
  readonly text: string
  /** What `-q` prints instead: the digest only … */
  readonly digest?: string
  /** … or those of a list, one a line. */
  readonly lines?: readonly string[]
}

export class Output {
  readonly #io: Io
  readonly #options: OutputOptions
  constructor(io: Io, options: OutputOptions) {
    this.#io = io
    this.#options = options
  }

  /** Prints what was achieved; after an interrupt nothing was. */
  result({ json, text, digest, lines = digest === undefined ? [] : [digest] }: Result): void {
    this.#io.signal.throwIfAborted()
    if (this.#options.json === true) this.#io.stdout.write(`${JSON.stringify({ schemaVersion: 1, ...json })}\n`)
    else if (this.#options.quiet === true) for (const line of lines) this.#io.stdout.write(`${line}\n`)
    else this.#io.stdout.write(`${text}\n`)
  }

  hint(text: string): void {
    if (this.#options.quiet !== true && this.#options.json !== true)
      this.#io.stderr.write(`${this.dim("hint:")} ${text}\n`)
  }

  /** What a person may like to know besides the result. */
  note(text: string): void {
    if (this.#options.quiet !== true && this.#options.json !== true)
      this.#io.stderr.write(`${this.dim(printable(text))}\n`)
  }

  /** As `note`, a list of any length. */
  notes(lines: readonly string[]): void {
    if (this.#options.quiet !== true && this.#options.json !== true)
      this.#io.stderr.write(lines.map((line) => `${this.dim(printable(line))}\n`).join(""))
  }

  warn(text: string): void {
    this.#io.stderr.write(`${this.#paint("33", "warning:")} ${printable(text)}\n`)
  }

  bold(text: string): string {
    return this.#options.json === true ? text : this.#paintFor(this.#io.stdout.isTTY, "1", text)
  }

  dim(text: string): string {
    return this.#paint("2", text)
  }

  /** Prints what went wrong and returns the exit code. */
  failure(error: unknown): number {
    const { code, message, hint } = describe(error)
    if (this.#options.json === true) {
      this.#io.stdout.write(
        `${JSON.stringify({ schemaVersion: 1, error: { code, message, ...(hint === undefined ? {} : { hint }) } })}\n`,
      )
    } else {
      this.#io.stderr.write(`${this.#paint("31", "error")} ${code}: ${printable(message)}\n`)
      if (hint !== undefined) this.#io.stderr.write(`${this.dim("hint:")} ${printable(hint)}\n`)
    }
    if (code === "INTERNAL" && error instanceof Error && (this.#io.env["WEIGHLOCK_DEBUG"] ?? "") !== "")
      this.#io.stderr.write(`${error.stack}\n`)
    return exitCodeOf(code)
  }

  #paint(code: string, text: string): string {
    return this.#paintFor(this.#io.stderr.isTTY, code, text)
  }

  #paintFor(isTTY: boolean | undefined, code: string, text: string): string {
    const { NO_COLOR, CI, TERM } = this.#io.env
    const plain = isTTY !== true || (NO_COLOR ?? "") !== "" || (CI ?? "") !== "" || TERM === "dumb"
    return plain ? text : `\u001b[${code}m${text}\u001b[0m`
  }
}

function describe(error: unknown): { code: string; message: string; hint?: string | undefined } {
  if (error instanceof CodedError) return { code: String(error.code), message: error.message, hint: error.hint }
  if (error instanceof Error && error.name === "AbortError") return { code: "INTERRUPTED", message: "stopped" }
  const { syscall, code } = error as NodeJS.ErrnoException
  if (error instanceof Error && syscall !== undefined)
    return { code: "STATE_UNUSABLE", message: error.message, hint: `the system said ${code}` }
  const message = error instanceof Error ? error.message : String(error)
  return {
    code: "INTERNAL",
    message: `this is a bug: ${message}`,
    hint: "run it again with WEIGHLOCK_DEBUG=1 and send us what it prints",
  }
}

/** Names come from anywhere: what could move the cursor or turn the text round is shown by its number. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  )
}
