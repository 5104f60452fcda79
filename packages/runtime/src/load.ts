/**
 * From a reference to a model that answers; nothing is loaded that was not verified.
 *
 *     const model = await loadModel("acme/mnist@1.2.0", { registry: "https://models.acme.example", trust: "trust.json" })
 */
import type { ClientOptions, VerifiedFile, VerifiedFiles } from "@weighlock/client"
import { RuntimeError } from "./errors.ts"
import { enginesFor, requireDevice } from "./engines/choose.ts"
import { defaultGoldenTimeout, loadWithExample } from "./engines/load-with-example.ts"
import type { LoadReply, LoadRequest } from "./engines/messages.ts"
import { type RunningEngine, Supervisor } from "./engines/supervisor.ts"
import { WorkerLink } from "./engines/worker-link.ts"
import { requireSupported } from "./formats/format.ts"
import { type Model, workerModel } from "./model.ts"
import { defaultPredictTimeout, longestTimer, requireCount } from "./options.ts"

export interface LoadOptions {
  /** `auto` (the fastest GPU that answers, else CPU), `gpu`, `cpu`, or an engine's name. Default `auto`. */
  readonly device?: string
  /** Gives up loading: the thread is ended. */
  readonly signal?: AbortSignal
  /** Milliseconds from verified bytes to a ready model; default five minutes. */
  readonly loadTimeout?: number
  /** Milliseconds an engine may take for the golden example; default 30 seconds. */
  readonly goldenTimeout?: number
  /**
   * Milliseconds a question may take, waiting included; default 30 seconds. One that is still being computed then ends the
   * engine's thread, and the model is loaded again.
   */
  readonly predictTimeout?: number
  /** Tries in a row to load a model again before it has failed for good; default 8, about half a minute. */
  readonly maxRestarts?: number
}

export interface ModelSource extends ClientOptions {
  /** A bundle (`weighlock pull --receipt FILE`): the reference is then the path of a folder that holds its files. */
  readonly bundle?: string
}

export interface VerifiedLoadOptions extends LoadOptions {
  /**
   * Brings the files of the same manifest once more, when the engine was lost: after a deadline, a crash, or without memory.
   * Without it the first loss is the end.
   */
  readonly reload?: (signal: AbortSignal) => Promise<VerifiedFiles>
}

const defaultLoadTimeout = 5 * 60_000
const defaultMaxRestarts = 8

/**
 * Throws what `fetchModel` (or, with a bundle, `readModelFolder`) throws, then as `loadVerified`. A lost engine is loaded
 * again from the cache or the folder, through the hash.
 */
export async function loadModel(reference: string, given: ModelSource & LoadOptions): Promise<Model> {
  const options = given ?? {} // what is missing is said by whoever needs it
  requireDevice(options.device ?? "auto") // a misspelled device should not cost a download
  // Who brings verified files needs no network code.
  const { fetchFiles, fetchModel, readModelFolder } = await import("@weighlock/client")
  const { bundle } = options
  const link = new WorkerLink() // starts while the files arrive
  const fetched = bundle === undefined ? fetchModel(reference, options) : readModelFolder(reference, bundle, options)
  const files = await fetched.catch(async (error: unknown) => {
    await link.close()
    throw error
  })
  const quiet = { ...options, onProgress: (): void => undefined }
  // What was verified stays so: a folder is not asked again how old its bundle is.
  const { maxStaleness: _, ...undated } = quiet
  const reload = (signal: AbortSignal): Promise<VerifiedFiles> =>
    bundle === undefined
      ? fetchFiles(files, { ...quiet, signal })
      : readModelFolder(reference, bundle, { ...undated, signal })
  return await loadOn(link, files, { ...options, reload })
}

/**
 * Loads what was verified. The bytes move into the engine's thread: `files` reads as empty afterwards.
 * Throws MODEL_REFUSED, DEVICE_UNAVAILABLE, USAGE; UNAVAILABLE when it takes too long; the signal's reason when aborted.
 */
export async function loadVerified(files: VerifiedFiles, options: VerifiedLoadOptions = {}): Promise<Model> {
  return await loadOn(new WorkerLink(), files, options)
}

/** The thread is ended when this throws. */
async function loadOn(link: WorkerLink, files: VerifiedFiles, options: VerifiedLoadOptions): Promise<Model> {
  const { reload, predictTimeout = defaultPredictTimeout, maxRestarts = defaultMaxRestarts } = options
  const engine = await startEngine(link, files, options, () => {
    requireCount("predictTimeout", predictTimeout, longestTimer)
    requireCount("maxRestarts", maxRestarts, 1_000)
  })
  const restart =
    reload === undefined
      ? null
      : async (signal: AbortSignal): Promise<RunningEngine> => {
          const again = await reload(signal)
          requireSameManifest(files, again)
          return await startEngine(new WorkerLink(), again, { ...options, signal })
        }
  return workerModel(files, new Supervisor(engine, { predictTimeout, maxRestarts, restart }))
}

async function startEngine(
  link: WorkerLink,
  files: VerifiedFiles,
  options: LoadOptions,
  check: () => void = () => undefined,
): Promise<RunningEngine> {
  const { device = "auto", signal, loadTimeout = defaultLoadTimeout, goldenTimeout = defaultGoldenTimeout } = options
  try {
    check()
    signal?.throwIfAborted()
    requireDevice(device)
    requireSupported(files.manifest.format)
    enginesFor(device, files.manifest.format)
    const loading = loadWithExample(link, loadRequest(files, device), goldenTimeout)
    return { link, loaded: await withDeadline(link, loading, loadTimeout, signal) }
  } catch (error) {
    await link.close()
    throw error
  }
}

function requireSameManifest({ manifest }: VerifiedFiles, again: VerifiedFiles): void {
  if (again.manifest.digest === manifest.digest) return
  throw new RuntimeError("USAGE", `reload brought sha256:${again.manifest.digest}, not sha256:${manifest.digest}`)
}

function loadRequest({ manifest, files }: VerifiedFiles, device: string): LoadRequest {
  const owned = [...files.values()].map((file) => ({ name: file.name, bytes: takeBytes(file) }))
  return { kind: "load", device, format: manifest.format, entrypoint: manifest.entrypoint, files: owned }
}

// A view of a larger buffer (Node pools small ones) can't be transferred without taking its neighbours along.
function takeBytes({ name, bytes, size }: VerifiedFile): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength !== size)
    throw new RuntimeError("USAGE", `${name}: these files were loaded before; fetch them again`)
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice()
}

async function withDeadline(
  link: WorkerLink,
  loading: Promise<LoadReply>,
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<LoadReply> {
  const stop = (): void => void link.close("was told to stop")
  const timer = setTimeout(() => void link.close(`did not load within ${milliseconds} ms`), milliseconds)
  signal?.addEventListener("abort", stop, { once: true })
  try {
    return await loading
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener("abort", stop)
  }
}
