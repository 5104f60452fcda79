/** What goes between a `WorkerThread` and its `serveOrders`, and how an error gets across: structured clone drops its code. */

export interface OrderMessage<Order> {
  readonly id: number
  readonly order: Order
}

/** `progress`: how far the order has come; the reply is still to come. */
export type ReplyMessage<Reply> = { readonly id: number } & (
  | { readonly progress: unknown }
  | { readonly reply: Reply }
  | { readonly error: ThrownReport }
)

/** `fields`: what an error says of itself beside the message, such as `code`, `hint` and `syscall`. */
export interface ThrownReport {
  readonly message: string
  readonly stack: string | undefined
  readonly fields: Readonly<Record<string, string | number | boolean>>
  readonly cause?: ThrownReport
}

/** Causes further down than this are left out: a chain may be a ring. */
const mostCauses = 4

export function reportThrown(thrown: unknown, causes: number = mostCauses): ThrownReport {
  if (!(thrown instanceof Error)) return { message: String(thrown), stack: undefined, fields: {} }
  const { name, message, stack, cause, code } = thrown as NodeJS.ErrnoException
  // Some keep name and code where no loop over their fields finds them.
  const fields = Object.fromEntries([...Object.entries(thrown), ["name", name], ["code", code]].filter(isPlain))
  const rest = cause === undefined || causes === 0 ? {} : { cause: reportThrown(cause, causes - 1) }
  return { message, stack, fields, ...rest }
}

function isPlain(entry: unknown[]): entry is [string, string | number | boolean] {
  return ["string", "number", "boolean"].includes(typeof entry[1])
}

/** With the name, the code, the hint and the other fields of the error that was thrown, but not of its class. */
export type Thrown = Error & { readonly code?: string | undefined; readonly hint?: string | undefined }

export function reviveThrown({ message, stack, fields, cause }: ThrownReport): Thrown {
  const error = new Error(message, cause === undefined ? {} : { cause: reviveThrown(cause) })
  if (stack !== undefined) error.stack = stack
  return Object.assign(error, fields)
}
