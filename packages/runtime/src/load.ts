/**
 * From a reference to a model that answers; nothing is loaded that was not verified.
 *
 *     const model = await loadModel("acme/mnist@1.2.0", { registry: "https://models.acme.example", trust: "trust.json" })
 */
import type { ClientOptions, VerifiedFile, VerifiedFiles } from "@weighlock/client"
import { RuntimeError } from "./errors.ts"
import { enginesFor } from "./engines/choose.ts"
import type { LoadReply, LoadRequest } from "./engines/messages.ts"
import { WorkerLink } from "./engines/worker-link.ts"
import { requireSupported } from "./formats/format.ts"
import { type Model, workerModel } from "./model.ts"

export interface LoadOptions {
  /** `auto` (the fastest GPU that answers, else CPU), `gpu`, `cpu`, or an engine's name. Default `auto`. */
  readonly device?: string
  /** Gives up loading: the thread is ended. */
  readonly signal?: AbortSignal
  /** Milliseconds from verified bytes to a ready model; default five minutes. */
  readonly loadTimeout?: number
}

const defaultLoadTimeout = 5 * 60_000

/** Throws what `fetchModel` throws, then as `loadVerified`. */
export async function loadModel(reference: string, options: ClientOptions & LoadOptions): Promise<Model> {
  enginesFor(options.device ?? "auto") // a misspelled device should not cost a download
  const { fetchModel } = await import("@weighlock/client") // who brings verified files needs no network code
  return loadVerified(await fetchModel(reference, options), options)
}

/**
 * Loads what was verified. The bytes move into the engine's thread: `files` reads as empty afterwards.
 * Throws MODEL_REFUSED, DEVICE_UNAVAILABLE, USAGE; UNAVAILABLE when it takes too long; the signal's reason when aborted.
 */
export async function loadVerified(files: VerifiedFiles, options: LoadOptions = {}): Promise<Model> {
  const { device = "auto", signal, loadTimeout = defaultLoadTimeout } = options
  signal?.throwIfAborted()
  enginesFor(device)
  requireSupported(files.manifest.format)
  const link = new WorkerLink()
  try {
    const loaded = await withDeadline(link, link.load(loadRequest(files, device)), loadTimeout, signal)
    return workerModel(files.manifest, link, loaded)
  } catch (error) {
    await link.close()
    throw error
  }
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
