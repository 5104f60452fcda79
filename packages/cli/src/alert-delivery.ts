/**
 * Where alerts go: a program's stdin, a web hook, or stdout. A delivery resolves only when the other side has said that it
 * has the alert; what rejects is delivered again by the next look at the log.
 *
 *     {"id":"UNKNOWN_KEY:412","code":"UNKNOWN_KEY","message":"…","origin":"models.acme.example/log","index":412,…}
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { access, constants, stat } from "node:fs/promises"
import { delimiter, resolve } from "node:path"
import type { Alert } from "@weighlock/client"
import {
  type Alive,
  type Backoff,
  HttpClient,
  isLoopbackHost,
  NodeError,
  parseRetryAfter,
  retrying,
} from "@weighlock/node"
import { CliError, usage } from "./errors.ts"
import type { Io } from "./io.ts"
import { secret } from "./settings.ts"

export type Delivery = (alert: Alert) => Promise<void>

/** A program that hangs must not silence the monitor, ms. */
const programTimeoutMs = 60_000

/** Throws USAGE. The address of a web hook is often a secret, so it may stand in the environment. */
export async function deliveryOf(io: Io, flags: { exec?: string; webhook?: string }): Promise<Delivery> {
  const webhook = flags.webhook ?? (flags.exec === undefined ? await secret(io, "WEIGHLOCK_WEBHOOK") : undefined)
  if (flags.exec !== undefined && webhook !== undefined)
    throw usage("alerts go to one place", "give --exec or --webhook, not both")
  if (flags.exec !== undefined) {
    const program = await findProgram(io, flags.exec)
    return (alert) => runProgram(io, program, alert)
  }
  if (webhook !== undefined) {
    const url = webhookUrl(webhook)
    return (alert) => post(io, url, alert)
  }
  return (alert) => Promise.resolve(void io.stdout.write(`${JSON.stringify(alert)}\n`))
}

/** Asked before the first alert, which may come in a year. Throws USAGE. */
async function findProgram({ env, cwd }: Io, text: string): Promise<string> {
  const places = text.includes("/") ? [cwd] : (env["PATH"] ?? "").split(delimiter)
  for (const place of places) {
    const path = resolve(place, text)
    const found = await stat(path).catch(() => null)
    if (found?.isFile() === true && (await canRun(path))) return path
  }
  throw usage(
    `${JSON.stringify(text)} is not a program that can be run`,
    "name a program alone; arguments go into a script",
  )
}

async function canRun(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** The program itself, without a shell: nothing in an alert can become a command. What it prints goes to stderr. */
async function runProgram(io: Io, program: string, alert: Alert): Promise<void> {
  await new Promise<void>((delivered, failed) => {
    const refuse = (why: string, cause?: unknown): void =>
      failed(io.signal.aborted ? io.signal.reason : undelivered(`${program} ${why}`, cause))
    const child = spawn(program, [], {
      cwd: io.cwd,
      env: io.env,
      stdio: ["pipe", "pipe", "pipe"],
      timeout: programTimeoutMs,
      signal: io.signal,
      killSignal: "SIGKILL",
    })
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => io.stderr.write(text))
    child.stdin.on("error", () => undefined) // it need not read
    child.on("error", (cause: NodeJS.ErrnoException) => refuse(`can't be run: ${cause.code}`, cause))
    child.on("close", (code, signal) =>
      code === 0 ? delivered() : refuse(`ended with ${code ?? signal ?? "nothing"}`),
    )
    child.stdin.end(`${JSON.stringify(alert)}\n`)
  })
}

/** https, or http on loopback. Throws USAGE, without quoting what may be a secret. */
function webhookUrl(text: string): URL {
  const url = URL.parse(text)
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopbackHost(url.hostname))) return url
  throw usage("the web hook is not an https URL", "plain http is for loopback only")
}

/** What a web hook answers is not read, only its status. */
const http = new HttpClient({ totalMs: 10_000, maxBytes: 65_536, whenLarger: "cut" })
const backoff: Backoff = { firstMs: 500, factor: 2, longestMs: 10_000 }

class Refused extends Error {}

/**
 * The same for every try (draft-ietf-httpapi-idempotency-key-header): a connection that breaks off does not tell whether the
 * other side has the alert, so it may get it twice. What is said of an entry (`UNKNOWN_KEY:412`) has the same key in every
 * run; a state that lasts (`STALE`) may end and come again, which is another event.
 */
function eventKey({ origin, id, at }: Alert): string {
  const event = /:\d+$/.test(id) ? [origin, id] : [origin, id, at]
  return createHash("sha256").update(JSON.stringify(event)).digest("hex").slice(0, 32)
}

/** No redirect is followed: an alert is for the one whom the user named. */
async function post({ signal }: Io, url: URL, alert: Alert): Promise<void> {
  const body = JSON.stringify(alert)
  const headers = { "content-type": "application/json", "idempotency-key": `"${eventKey(alert)}"` }
  const deliver = async (alive: Alive): Promise<void> => {
    const answer = await http.request(url, { method: "POST", headers, body, signal })
    alive(parseRetryAfter(answer.headers["retry-after"]))
    const { status } = answer
    if (status >= 200 && status < 300) return
    const mayHelp = status >= 500 || status === 429 || status === 408
    throw mayHelp ? new Error(`answered ${status}`) : new Refused(`answered ${status}`)
  }
  const mayHelp = (error: unknown): boolean => !(error instanceof Refused)
  await retrying(deliver, { mayHelp, backoff, signal }).catch((cause: unknown) => {
    signal.throwIfAborted()
    throw undelivered(`the web hook at ${url.origin} ${explained(cause)}`, cause)
  })
}

/** Of an error of the system only the code: some quote the address, which may be a secret. */
function explained(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  return code === undefined || cause instanceof NodeError ? message : `could not be reached: ${code}`
}

function undelivered(what: string, cause: unknown): CliError {
  return new CliError("UNAVAILABLE", `an alert was not delivered: ${what}`, {
    cause,
    hint: "the cursor stays before it: it is delivered again by the next run",
  })
}
