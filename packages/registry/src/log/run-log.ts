/**
 * The log and what goes with it while the registry runs: readers, witnesses that are asked, a folder that is published to;
 * and how it is doing.
 *
 *     { "size": 1042, "checkpointAt": "2026-11-23T12:00:00Z",
 *       "witnesses": { "mode": "require", "quorum": { "size": 1042, "freshness": 1795435199 }, "waiting": 0, "asked": [ … ] } }
 */
import { trustedLog } from "@weighlock/manifest"
import type { Logger } from "pino"

import type { OpenedConfig } from "../config.ts"
import type { Undo } from "../data-folder.ts"
import { RegistryError } from "../errors.ts"
import type { Metrics } from "../metrics.ts"
import type { Ledger } from "../store/ledger.ts"
import { type CollectorStatus, WitnessCollector } from "../witness/collector.ts"
import { Bundles } from "./bundles.ts"
import { disproof } from "./disproof.ts"
import type { Log } from "./log.ts"
import { type OpenedLog, openLog } from "./open-log.ts"
import { StaticLog } from "./publish-static.ts"
import { Publisher } from "./publisher.ts"
import { LogReader } from "./reader.ts"
import { ShownMark } from "./shown-mark.ts"

export interface RunningLog {
  readonly log: Log
  readonly bundles: Bundles
  readonly reader: LogReader
  readonly health: () => LogHealth
}

export interface LogHealth {
  /** Readers get what the configuration promises them. */
  readonly ready: boolean
  readonly size: number
  readonly checkpointAt: string
  /** Absent where the trust root asks for none. */
  readonly witnesses?: WitnessHealth
  /** Of the folder that the log is published to: entries it is behind. */
  readonly folder?: { readonly behind: number }
}

/** Names, states and sizes: no URL and no error text, which are for the operator's log. */
export interface WitnessHealth extends Pick<CollectorStatus, "quorum" | "waiting"> {
  readonly mode: string
  readonly asked: readonly Pick<CollectorStatus["witnesses"][number], "name" | "state" | "size" | "time">[]
}

/** In ms: for as long a registry that requires witnesses may be without them. */
const mostWaiting = 10_000

export interface RunLogOptions {
  readonly opened: OpenedConfig
  readonly ledger: Ledger
  readonly logger: Logger
  readonly undo: Undo
  /** Told of a fault after which the process must end. */
  readonly onFailed: (error: RegistryError) => void
}

/** Throws what the start-up refuses: STORE_FAILED when a witness proves that the database is an old one, or another. */
export async function runLog({ opened, ledger, logger, undo, onFailed }: RunLogOptions): Promise<RunningLog> {
  const { log, close } = await restoreLog(opened, ledger)
  undo.push(close)
  const fail = (error: RegistryError): void => {
    log.halt(error)
    onFailed(error)
  }
  const collector = collectorFor(opened, log, logger, fail)
  undo.push(() => collector.close())
  const proof = await collector.disproof()
  if (proof !== null) throw disproved(proof)
  const bundles = new Bundles(log, ledger)
  const reader = new LogReader(log, ledger, bundles)
  const folder = await openFolder(opened, reader)
  const publisher = folder && new Publisher(log, folder, logger, fail)
  undo.push(() => collector.close().then(() => publisher?.close())) // what was cosigned last is published, too
  log.onPublished(() => collector.poke())
  collector.poke()
  return { log, bundles, reader, health: () => healthOf(log, collector, publisher) }
}

async function restoreLog(opened: OpenedConfig, ledger: Ledger): Promise<OpenedLog> {
  const { data, trustChain, signer, checkpointCopy: copy, witnessMode: mode } = opened
  const options = { ledger, trustChain, signer, copy, mode, now: Date.now }
  if (trustedLog(trustChain).policy.quorum === null) return await openLog(options)
  const mark = await ShownMark.open(data, mode)
  const { log, close } = await openLog({ ...options, shownNewest: mark.isThere })
  if (mode === "require") log.onShown(() => void (log.served.caughtUp && mark.remove()))
  return { log, close }
}

function disproved(proof: string): RegistryError {
  return new RegistryError("STORE_FAILED", proof, {
    hint: "bring the newer database back; if there is none, rebuild from an export as new as that",
  })
}

async function openFolder(
  { publishLog: folder, trustChain }: OpenedConfig,
  reader: LogReader,
): Promise<StaticLog | null> {
  if (folder === undefined) return null
  return await StaticLog.open({ folder, reader, log: trustChain.current.log })
}

function collectorFor(
  { trustChain, witnessUrls: urls }: OpenedConfig,
  log: Log,
  logger: Logger,
  fail: (error: RegistryError) => void,
): WitnessCollector {
  return new WitnessCollector({
    log: trustedLog(trustChain),
    urls,
    newest: () => log.served.newest,
    consistency: (from, to) => log.consistency(from, to),
    store: async (cosigned) => {
      await log.cosigned(cosigned).catch((cause: unknown) => {
        const error = new RegistryError("STORE_FAILED", "a cosignature could not be stored", { cause })
        fail(error)
        throw error
      })
    },
    disproof: (note) => disproof(log, trustChain.current.log, note),
    onDisproved: (proof) => fail(disproved(proof)),
    logger,
  })
}

function healthOf({ served }: Log, collector: WitnessCollector, publisher: Publisher | null): LogHealth {
  const { quorum, waiting, witnesses } = collector.status()
  const asked = witnesses.map(({ name, state, size, time }) => ({ name, state, size, time }))
  return {
    ready: !served.asked || served.mode === "degrade" || waiting <= mostWaiting,
    size: served.shown.size,
    checkpointAt: new Date(served.shown.at).toISOString(),
    ...(served.asked && { witnesses: { mode: served.mode, quorum, waiting: Math.round(waiting), asked } }),
    ...(publisher && { folder: { behind: publisher.behind } }),
  }
}

/** What Prometheus is told of the log. */
export function measureLog(metrics: Metrics, { log: { served }, health }: RunningLog): void {
  metrics.gauge("weighlock_log_size", "Entries in the log.", () => served.newest.size)
  metrics.gauge(
    "weighlock_log_checkpoint_seconds",
    "Unix time of the newest checkpoint.",
    () => served.newest.at / 1000,
  )
  metrics.gauge("weighlock_log_witnessed_size", "Entries under the newest checkpoint that meets the quorum.", () => {
    return served.witnessed?.size ?? 0
  })
  metrics.gauge("weighlock_log_unwitnessed_seconds", "How long the newest checkpoint has lacked the quorum.", () => {
    return (health().witnesses?.waiting ?? 0) / 1000
  })
  metrics.gauge("weighlock_log_folder_behind", "Entries that the published folder lacks.", () => {
    return health().folder?.behind ?? 0
  })
}
