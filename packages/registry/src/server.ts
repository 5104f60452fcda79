/**
 * Starts and stops a registry: lock, ledger, log, stores, HTTP; and back in the opposite order.
 *
 *     const registry = await startRegistry({ data: "./registry", trust: "./trust.json" })
 *     registry.url // http://127.0.0.1:41873
 *     await registry.close() // finishes what is in flight, at most 10 s
 */
import { statfsSync } from "node:fs"

import type { TrustChain } from "@weighlock/manifest"
import { modelHasher } from "@weighlock/manifest/node"
import { type Logger, destination, pino } from "pino"

import { Admission, type Admitted } from "./admission.ts"
import { openBlobs } from "./blobs.ts"
import { type OpenedConfig, type RegistryConfig, openConfig } from "./config.ts"
import { type Undo, openDataFolder } from "./data-folder.ts"
import { RegistryError } from "./errors.ts"
import { createApp } from "./http/app.ts"
import { listen } from "./http/listen.ts"
import { blobRoutes } from "./http/routes/blobs.ts"
import { logHelperRoutes } from "./http/routes/log-helpers.ts"
import { logRoutes } from "./http/routes/log.ts"
import { modelRoutes } from "./http/routes/models.ts"
import type { Access } from "./http/openapi.ts"
import { serviceRoutes } from "./http/routes/service.ts"
import { trustRoutes } from "./http/routes/trust.ts"
import { partRoutes, uploadRoutes } from "./http/routes/uploads.ts"
import type { Outcome } from "./log/plan.ts"
import { RecentBundles } from "./log/recent-bundles.ts"
import { measureLog, runLog } from "./log/run-log.ts"
import { Latency } from "./latency.ts"
import { Metrics } from "./metrics.ts"
import { Registry } from "./registry.ts"
import { Sequencer } from "./sequencer.ts"
import type { BlobFacts } from "./store/ledger.ts"
import { placeName } from "./store/s3-place.ts"
import { Uploads } from "./uploads.ts"
import { productVersion } from "./version.ts"

const unreferencedLife = 24 * 3600 * 1000
const expiryInterval = 3600 * 1000
/** ms for which the store is taken to be as it was. */
const reachLife = 3000

export interface RunningRegistry {
  /** Where it listens; no slash at the end. */
  readonly url: string
  /** Reads the token file again; also after SIGHUP. Never throws: what is wrong with it is logged. */
  reload(): Promise<void>
  /** Takes no more requests, finishes those in flight (at most the drain time), lets go of the data folder. */
  close(): Promise<void>
}

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
    const reload = async (): Promise<void> => opened.tokens?.reload()
    return { url, reload, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function start(config: RegistryConfig, opened: OpenedConfig, logger: Logger, undo: Undo): Promise<string> {
  const { trustChain, tokens } = opened
  const now = (): Date => new Date()
  warnOfExpiry(trustChain, logger)
  const ledger = await openDataFolder(opened, undo)
  const onFailed = once((error: RegistryError) => stop(error, logger, config.onFatal))
  const hasher = modelHasher()
  undo.push(() => hasher.close())
  let url = ""
  const { grantLifeSeconds, storeTimeouts } = config
  const ownUrl = (): string => opened.publicUrl ?? url
  const {
    blobs,
    receiving,
    close: closeBlobs,
  } = await openBlobs({
    opened,
    ledger,
    hasher,
    undo,
    ownUrl,
    grantLifeSeconds,
    storeTimeouts,
  })
  const running = await runLog({ opened, ledger, logger, undo, onFailed })
  const { log, bundles, reader } = running
  const sequencer = new Sequencer<Admitted, Outcome>((batch) => log.append(batch), {
    maxItems: 1024,
    maxBytes: 256 * 1024 * 1024,
    sizeOf: ({ payload }) => payload.length,
    onFailed,
  })
  const records = new Sequencer<BlobFacts, BlobFacts>((batch) => ledger.recordBlobs(batch), {
    maxItems: 10_000,
    maxBytes: 256 * 1024 * 1024,
    sizeOf: ({ parts }) => 64 + 32 * (parts?.digests.length ?? 0),
    onFailed,
  })
  const notes = new Sequencer<string, unknown>((batch) => ledger.noteUnrecorded(batch).then(() => batch), {
    maxItems: 10_000,
    maxBytes: 1024 * 1024,
    sizeOf: () => 64,
    onFailed,
  })
  undo.push(() => Promise.all([sequencer.close(), records.close(), notes.close()]).then(() => undefined))

  const metrics = new Metrics()
  measureLog(metrics, running)
  const damage = metrics.counter("weighlock_blobs_damaged_total", "Times a proven blob was found missing or resized.")
  const onDamaged = (sha256: string): void => {
    damage()
    logger.error({ sha256 }, "a blob is missing or damaged: publishing it again heals it")
  }

  let ready = false
  const forgetBlobs = (before: number): Promise<readonly string[]> => log.alone(() => ledger.forgetBlobs(before))
  const uploads = new Uploads({ ledger, blobs, records, notes, forgetBlobs, answerMs: 20_000, onDamaged })
  undo.push(every(expiryInterval, () => uploads.expire(Date.now() - unreferencedLife), logger))
  undo.push(closeBlobs) // before that: a bucket that stalls would hold it up
  const admission = new Admission({ trustChain, onFailed })
  undo.push(() => admission.close())
  const registry = new Registry({
    ledger,
    uploads,
    admission,
    sequencer,
    bundles,
    recent: new RecentBundles(log.served),
    now,
  })
  const others = [
    ...modelRoutes(registry),
    ...logRoutes(reader),
    ...logHelperRoutes(reader),
    ...trustRoutes(ledger, bundles),
    ...uploadRoutes(uploads),
    ...(receiving ? partRoutes(receiving, uploads) : []),
    ...blobRoutes({ blobs, ledger, onDamaged }),
  ]
  const reached = remembered(() => blobs.reach(), reachLife)
  const isReady = async (): Promise<boolean> => ready && (await ledger.head()) !== null && (await reached())
  if (tokens) undo.push(tokens.watch(logger))
  const latency = new Latency()
  const diskFree = (): number => freeBytes(opened.data)
  metrics.gauge("weighlock_disk_free_bytes", "Free on the disk of the data folder.", diskFree)
  metrics.gauge("weighlock_trust_root_expires_seconds", "Unix time at which the trust root expires.", () => {
    return trustChain.current.expires.getTime() / 1000
  })
  const access = (): Access => ({
    tokens: tokens !== undefined,
    anonymousRead: tokens?.current.anonymousRead ?? true,
  })
  const service = { trustChain, metrics, health: running.health, diskFree, latency, ownUrl, isReady, access }
  const routes = [...others, ...serviceRoutes(service, others)]
  const answered = metrics.counter("weighlock_http_requests_total", "Answers by route and status.")
  const took = metrics.histogram(
    "weighlock_http_request_seconds",
    "Time from a request's head to the end of its answer, by route.",
    [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60],
  )
  const app = createApp({
    routes,
    tokens: () => tokens?.current,
    now,
    onAnswer: ({ method, route, status, ms, token, address }) => {
      answered({ method, route, status: String(status) })
      took({ route }, ms / 1000)
      latency.add(route, ms)
      logger.info({ method, route, status, ms: Math.round(ms), token, address }, "answered")
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

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
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

/** Whether `work` succeeds, asked at most once in `ms`, however many want to know. */
function remembered(work: () => Promise<void>, ms: number): () => Promise<boolean> {
  let asked = Number.NEGATIVE_INFINITY
  let answer = Promise.resolve(false)
  return async () => {
    if (performance.now() - asked > ms) {
      asked = performance.now()
      answer = work().then(
        () => true,
        () => false,
      )
    }
    return await answer
  }
}

/** Runs now and again, never twice at once; answers what stops it, after the run under way has ended. */
function every(ms: number, work: () => Promise<void>, logger: Logger): () => Promise<void> {
  let last = Promise.resolve()
  let runs = false
  const run = (): void => {
    if (runs) return
    runs = true
    last = work()
      .catch((error: unknown) => logger.error({ err: error }, "expiry failed"))
      .finally(() => (runs = false))
  }
  run()
  const timer = setInterval(run, ms).unref()
  return async () => {
    clearInterval(timer)
    await last
  }
}

/** The configuration as it may be printed: no token, no key. */
function describe({
  data,
  store,
  host,
  port,
  publicUrl,
  tokens,
  tls,
  trustChain,
  signer,
  timeouts,
}: OpenedConfig): object {
  const { registry, version, digest } = trustChain.current
  return {
    registry,
    version: productVersion,
    data,
    store: store && placeName(store),
    host,
    port,
    publicUrl,
    tls: tls !== undefined,
    tokens: tokens
      ? tokens.current.tokens.map(({ name, scopes, expires }) => ({ name, scopes, expires }))
      : "none: loopback only",
    anonymousRead: tokens?.current.anonymousRead ?? true,
    trust: { version, sha256: digest },
    log: signer.vkey,
    timeouts,
  }
}
