/**
 * Starts and stops a registry: lock, ledger, stores, HTTP; and back in the opposite order.
 *
 *     const registry = await startRegistry({ data: "./registry", trust: "./trust.json" })
 *     registry.url // http://127.0.0.1:41873
 *     await registry.close() // finishes what is in flight, at most 10 s
 */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"

import type { TrustChain } from "@weighlock/manifest"
import { HashPool } from "@weighlock/manifest/node"
import { type Logger, destination, pino } from "pino"

import { Admission } from "./admission.ts"
import { type OpenedConfig, type RegistryConfig, openConfig } from "./config.ts"
import { RegistryError } from "./errors.ts"
import { RegistryGrants } from "./grants.ts"
import { createApp } from "./http/app.ts"
import { listen } from "./http/listen.ts"
import { blobRoutes } from "./http/routes/blobs.ts"
import { modelRoutes } from "./http/routes/models.ts"
import { serviceRoutes } from "./http/routes/service.ts"
import { trustRoutes } from "./http/routes/trust.ts"
import { uploadRoutes } from "./http/routes/uploads.ts"
import { Metrics } from "./metrics.ts"
import { Registry } from "./registry.ts"
import { Sequencer } from "./sequencer.ts"
import { FolderBlobStore } from "./store/blobs-fs.ts"
import { makeFolder } from "./store/durable.ts"
import { SqliteLedger } from "./store/ledger-sqlite.ts"
import type { Binding, BlobFacts, Candidate, Ledger } from "./store/ledger.ts"
import { lockWriter } from "./store/writer-lock.ts"
import { Uploads } from "./uploads.ts"
import { proveLedger } from "./start-proof.ts"
import { productVersion } from "./version.ts"

const unreferencedLife = 24 * 3600 * 1000
const expiryInterval = 3600 * 1000

export interface RunningRegistry {
  /** Where it listens; no slash at the end. */
  readonly url: string
  /** Takes no more requests, finishes those in flight (at most the drain time), lets go of the data folder. */
  close(): Promise<void>
}

/** Things to undo, last first. */
type Undo = (() => Promise<void> | void)[]

/** Throws USAGE (configuration), CONFLICT (the folder is in use), STORE_FAILED (it is damaged). */
export async function startRegistry(config: RegistryConfig): Promise<RunningRegistry> {
  const opened = await openConfig(config)
  const logger = config.logger ?? pino({ level: config.logLevel ?? "info" }, destination({ dest: 2, sync: true }))
  const undo: Undo = []
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    const url = await start(config, opened, logger, undo)
    logger.info({ url, ...describe(opened) }, "registry started")
    return { url, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function start(config: RegistryConfig, opened: OpenedConfig, logger: Logger, undo: Undo): Promise<string> {
  const { data, trustChain, tokens } = opened
  await makeFolder(data)
  const lock = lockWriter(join(data, "writer.lock"))
  undo.push(() => lock.release())
  const held = await anyBlob(data)
  if (held && !(await isFile(join(data, "ledger.sqlite")))) throw ledgerLost(data)
  const ledger = new SqliteLedger(join(data, "ledger.sqlite"))
  undo.push(() => ledger.close())
  if (held && (await ledger.trustRoots()).length === 0) throw ledgerLost(data)
  warnOfExpiry(trustChain, logger)
  await enrol(ledger, opened)
  proveLedger(ledger, trustChain) // after: another trust root than the folder's is a mistake of usage, not damage
  const hashes = new HashPool()
  undo.push(() => hashes.close())
  const blobs = await FolderBlobStore.open(data, hashes)

  const onFailed = once((error: RegistryError) => stop(error, logger, config.onFatal))
  const sequencer = new Sequencer<Candidate, Binding>((batch) => ledger.publish(batch), {
    maxItems: 1024,
    maxBytes: 256 * 1024 * 1024,
    sizeOf: ({ envelope }) => envelope.length,
    onFailed,
  })
  const records = new Sequencer<BlobFacts, BlobFacts>((batch) => ledger.recordBlobs(batch), {
    maxItems: 10_000,
    maxBytes: 256 * 1024 * 1024,
    sizeOf: ({ parts }) => 64 + 32 * (parts?.digests.length ?? 0),
    onFailed,
  })
  undo.push(() => Promise.all([sequencer.close(), records.close()]).then(() => undefined))

  const metrics = new Metrics()
  const damage = metrics.counter("weighlock_blobs_damaged_total", "Times a proven blob was found missing or resized.")
  const onDamaged = (sha256: string): void => {
    damage()
    logger.error({ sha256 }, "a blob is missing or damaged: publishing it again heals it")
  }

  let url = ""
  let ready = false
  const now = (): Date => new Date()
  const grants = new RegistryGrants(() => opened.publicUrl ?? url, config.grantLifeSeconds)
  const uploads = new Uploads({ ledger, blobs, grants, records, patience: 20_000, onDamaged })
  undo.push(every(expiryInterval, () => uploads.expire(Date.now() - unreferencedLife), logger))
  const admission = new Admission({ trustChain, onFailed })
  undo.push(() => admission.close())
  const registry = new Registry({ ledger, uploads, admission, sequencer, now })
  const others = [
    ...modelRoutes(registry),
    ...trustRoutes(ledger),
    ...uploadRoutes(uploads, grants),
    ...blobRoutes({ blobs, ledger, onDamaged }),
  ]
  const isReady = async (): Promise<boolean> => ready && (await ledger.trustRoots()).length > 0
  const routes = [...others, ...serviceRoutes({ trustChain, metrics, isReady }, others)]
  const answered = metrics.counter("weighlock_http_requests_total", "Answers by route and status.")
  const app = createApp({
    routes,
    tokens,
    now,
    onAnswer: ({ method, route, status, ms }) => {
      answered({ method, route, status: String(status) })
      logger.info({ method, route, status, ms }, "answered")
    },
    onFault: (error) => logger.error({ err: error }, "fault"),
  })
  const server = await listen(app, opened)
  undo.push(() => server.close())
  undo.push(() => void (ready = false))
  url = server.url
  ready = true
  return url
}

/** A registry that lost its ledger would bind versions anew: blobs without one are refused. */
function ledgerLost(data: string): RegistryError {
  return new RegistryError("STORE_FAILED", `${data} holds blobs, and its ledger.sqlite is absent or empty`, {
    hint: "restore ledger.sqlite from a backup, or take an empty data folder",
  })
}

async function anyBlob(data: string): Promise<boolean> {
  const entries = await readdir(join(data, "blobs"), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.some((entry) => !entry.isDirectory())
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.size > 0,
    () => false,
  )
}

const warningTime = 30 * 86_400_000

function warnOfExpiry({ current }: TrustChain, logger: Logger): void {
  const left = current.expires.getTime() - Date.now()
  if (left > warningTime) return
  const expires = current.expires.toISOString()
  logger.warn(
    { expires },
    left > 0 ? "the trust root expires soon" : "the trust root has expired: publishes are refused",
  )
}

/** Keeps the trust root on the first start; later the folder belongs to it. */
async function enrol(ledger: Ledger, { trustChain, data }: OpenedConfig): Promise<void> {
  const [first] = await ledger.trustRoots()
  const [root] = trustChain.roots
  const [envelope] = trustChain.envelopes
  if (!root || !envelope) throw new RegistryError("USAGE", "the trust chain is empty")
  if (first && first.digest !== root.digest) {
    throw new RegistryError(
      "USAGE",
      `${data} belongs to the trust root sha256:${first.digest}, not to sha256:${root.digest}`,
      {
        hint: "serve it with the trust root it was made with, or take another data folder",
      },
    )
  }
  await ledger.addTrustRoot({ version: root.version, digest: root.digest, envelope })
}

/** Crash-only: a commit of unknown outcome ends the process, and opening the ledger again shows what is true. */
function stop(error: RegistryError, logger: Logger, onFatal?: (error: RegistryError) => void): void {
  logger.fatal({ err: error }, "stopping: a write of unknown outcome")
  if (onFatal) return onFatal(error)
  setImmediate(() => {
    throw error
  })
}

function once<T>(action: (value: T) => void): (value: T) => void {
  let done = false
  return (value) => {
    if (!done) action(value)
    done = true
  }
}

/** Runs now and again; answers what stops it, after the run under way has ended. */
function every(ms: number, work: () => Promise<void>, logger: Logger): () => Promise<void> {
  let last = Promise.resolve()
  const run = (): void => void (last = work().catch((error: unknown) => logger.error({ err: error }, "expiry failed")))
  run()
  const timer = setInterval(run, ms).unref()
  return async () => {
    clearInterval(timer)
    await last
  }
}

/** The configuration as it may be printed: no token, no key. */
function describe({ data, host, port, publicUrl, tokens, tls, trustChain, logKey, timeouts }: OpenedConfig): object {
  const { registry, version, digest } = trustChain.current
  return {
    registry,
    version: productVersion,
    data,
    host,
    port,
    publicUrl,
    tls: tls !== undefined,
    tokens: tokens
      ? tokens.tokens.map(({ name, scopes, expires }) => ({ name, scopes, expires }))
      : "none: loopback only",
    anonymousRead: tokens?.anonymousRead ?? true,
    trust: { version, sha256: digest },
    log: logKey.vkey,
    timeouts,
  }
}
