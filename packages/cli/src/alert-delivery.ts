/**
 * Where alerts go: a program's stdin, a web hook, or stdout. A delivery resolves only when the other side has said that it
 * has the alert; what rejects is delivered again by the next look at the log.
 *
 *     {"id":"UNKNOWN_KEY:412","code":"UNKNOWN_KEY","message":"…","origin":"models.acme.example/log","index":412,…}
 */
import { spawn } from "node:child_process"
import { access, constants, stat } from "node:fs/promises"
import { delimiter, resolve } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import type { Alert } from "@weighlock/client"
import { isLoopbackHost } from "@weighlock/node"
import { CliError, usage } from "./errors.ts"
import type { Io } from "./io.ts"
import { secret } from "./settings.ts"

export type Delivery = (alert: Alert) => Promise<void>

/** A program that hangs must not silence the monitor, ms. */
const programPatience = 60_000
const answerPatience = 10_000
const attempts = 4

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
      timeout: programPatience,
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

async function post({ signal }: Io, url: URL, alert: Alert): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await postOnce(url, alert, signal)
    if (outcome === "delivered") return
    signal.throwIfAborted()
    if (!outcome.mayHelp || attempt === attempts)
      throw undelivered(`the web hook at ${url.origin} ${outcome.why}`, outcome.cause)
    await pause(250 * 2 ** attempt, undefined, { signal })
  }
}

interface Failed {
  readonly why: string
  readonly mayHelp: boolean
  readonly cause?: unknown
}

async function postOnce(url: URL, alert: Alert, signal: AbortSignal): Promise<"delivered" | Failed> {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(alert),
      redirect: "manual", // an alert is for the one whom the user named
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerPatience)]),
    })
    await answer.body?.cancel()
    if (answer.ok) return "delivered"
    const mayHelp = answer.status >= 500 || answer.status === 429 || answer.status === 408
    return { why: `answered ${answer.status}`, mayHelp }
  } catch (cause) {
    return { why: "could not be reached", mayHelp: true, cause }
  }
}

function undelivered(what: string, cause: unknown): CliError {
  return new CliError("UNAVAILABLE", `an alert was not delivered: ${what}`, {
    cause,
    hint: "the cursor stays before it: it is delivered again by the next run",
  })
}
