/**
 * What the tools of this package refuse, as a closed list of codes. A package that uses them says it in its own words and
 * with its own class; who looks at `code` alone need not know whose error it is.
 */
export const nodeErrorCodes = [
  "ANSWER_TOO_LARGE",
  "FILE_CHANGED",
  "FILE_UNREADABLE",
  "PROXY_FAILED",
  "PROXY_INVALID",
  "THREAD_ENDED",
  "TIMED_OUT",
] as const

export type NodeErrorCode = (typeof nodeErrorCodes)[number]

export class NodeError<Code extends NodeErrorCode = NodeErrorCode> extends Error {
  override readonly name = "NodeError"
  readonly code: Code
  /** What to do next, one sentence. */
  readonly hint: string | undefined

  constructor(code: Code, message: string, options: ErrorOptions & { readonly hint?: string } = {}) {
    super(message, options)
    this.code = code
    this.hint = options.hint
  }
}
