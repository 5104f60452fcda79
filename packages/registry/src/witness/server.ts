/**
 * Runs a witness for other people's logs.
 *
 *     await initWitness({ data: "./witness", name: "witness.example/w1" })     // { vkey }: for trust roots' policies
 *     await addLog({ data: "./witness", vkey: "models.acme.example/log+a1b2c3d4+AfWr…=" })
 *     const witness = await startWitness({ data: "./witness" })
 *     witness.url // http://127.0.0.1:41873: the submission and monitoring prefix
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"

import { type Logger, destination, pino } from "pino"

import type { Timeouts } from "../config.ts"
import { RegistryError } from "../errors.ts"
import type { App } from "../http/app.ts"
import { type Place, listen } from "../http/listen.ts"
import { lockWriter } from "../store/writer-lock.ts"
import { Fork, Refusal, Unkept } from "./judge.ts"
import { requireKept } from "./kept-state.ts"
import { type Answer, type Exchange, answer, send } from "./respond.ts"
import { initWitness, openSigner, requireWitness, statePath } from "./setup.ts"
import { WitnessStore } from "./store.ts"
import { Witness } from "./witness.ts"

export interface WitnessConfig {
  /** The folder that keeps everything. */
  readonly data: string
  /** Made under this name when the folder holds no witness yet. */
  readonly name?: string
  readonly host?: string
  /** 0 (the default) takes any free one. */
  readonly port?: number
  /** Paths of PEM files. */
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly logger?: Logger
  readonly logLevel?: string
  readonly timeouts?: Partial<Timeouts>
  /** ms since epoch */
  readonly now?: () => number
  /** Told of a fault after which the process must end; the default throws it outside any handler. */
  readonly onFatal?: (error: unknown) => void
}

export interface RunningWitness {
  /** Where it listens; no slash at the end. */
  readonly url: string
  readonly vkey: string
  /** Finishes what is in flight, lets go of the folder. */
  close(): Promise<void>
}

/** Throws USAGE (configuration), CONFLICT (the folder is in use), STORE_FAILED (its state is damaged or an old copy). */
export async function startWitness(config: WitnessConfig): Promise<RunningWitness> {
  const { data, name } = config
  const logger = config.logger ?? pino({ level: config.logLevel ?? "info" }, destination({ dest: 2, sync: true }))
  if (name !== undefined) await initWitness({ data, name })
  await requireWitness(data)
  const undo: (() => Promise<void> | void)[] = []
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) await step()
  }
  try {
    const lock = lockWriter(join(data, "writer.lock"))
    undo.push(() => lock.release())
    const store = new WitnessStore(statePath(data))
    undo.push(() => store.close())
    const signer = await openSigner(data, store)
    await requireKept(data, store, signer.vkey)
    const witness = new Witness({ store, signer, data, now: config.now ?? Date.now })
    undo.push(() => witness.close())
    const server = await listen(appOf(witness, config, logger), await placeOf(config))
    undo.push(() => server.close())
    logger.info({ url: server.url, vkey: signer.vkey, logs: store.origins() }, "witness started")
    return { url: server.url, vkey: signer.vkey, close }
  } catch (error) {
    await close()
    throw error
  }
}

function appOf(witness: Witness, { onFatal }: WitnessConfig, logger: Logger): App {
  const serve = async (exchange: Exchange): Promise<Answer> => {
    try {
      return await answer(exchange, witness)
    } catch (error) {
      if (error instanceof Fork) {
        logger.error({ seen: error.seen, shown: error.shown }, "a log signed two trees of one size: keep both notes")
      }
      if (error instanceof Unkept)
        logger.error({ err: error.cause }, "not cosigned: the copy of the checkpoint cannot be opened")
      if (error instanceof Refusal) return { status: error.status, type: error.type, body: error.message }
      logger.fatal({ err: error }, "stopping: a write of unknown outcome")
      if (onFatal) onFatal(error)
      else setImmediate(rethrow, error)
      return { status: 503, type: "text/plain; charset=utf-8", body: "this witness is stopping\n" }
    }
  }
  return (request, response) => {
    const began = performance.now()
    void serve({ request, response }).then((given) => {
      send({ request, response }, given)
      const { method, url } = request
      const ms = Math.round(performance.now() - began)
      return logger.info({ method, url: url?.slice(0, 100), status: given.status, ms }, "answered")
    })
  }
}

function rethrow(error: unknown): never {
  throw error
}

async function placeOf({ host = "127.0.0.1", port = 0, tls, timeouts }: WitnessConfig): Promise<Place> {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new RegistryError("USAGE", `${port} is not a port`)
  const files = tls && { cert: await read(tls.cert), key: await read(tls.key) }
  return {
    host,
    port,
    tls: files,
    timeouts: { headers: 5000, request: 10_000, idle: 30_000, taken: 30_000, drain: 10_000, ...timeouts },
  }
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new RegistryError("USAGE", `the TLS file ${path} can't be read`, { cause })
  }
}
