/**
 * One model in onnxruntime, from bytes that our own walk has passed. The package is the user's: it is reached through
 * `createRequire` of the place where it was found.
 */
import { createRequire } from "node:module"
import type { Artifacts } from "../../formats/format.ts"
import type { OnnxArtifacts } from "../../formats/onnx/onnx.ts"
import { messageOf, refused } from "../../errors.ts"
import { EngineUnfit, type LoadedModel, type LoadingOptions } from "../engine.ts"
import { openModel } from "./onnx-model.ts"
import { probeModel } from "./probe-model.ts"

export type Provider = "cpu" | "webgpu" | "cuda"

/** As onnxruntime-common declares them, as far as they are used. */
export interface Tensor {
  readonly type: string
  readonly dims: readonly number[]
  readonly data: unknown
  getData(releaseData?: boolean): Promise<unknown>
  dispose(): void
}
export interface Session {
  readonly inputMetadata: readonly ValueMetadata[]
  readonly outputMetadata: readonly ValueMetadata[]
  run(feeds: Readonly<Record<string, Tensor>>): Promise<Readonly<Record<string, Tensor>>>
  release(): Promise<void>
}
export interface ValueMetadata {
  readonly name: string
  readonly isTensor: boolean
  readonly type?: string
  readonly shape?: readonly (number | string)[]
}
export interface OnnxRuntime {
  readonly env: { logLevel?: string }
  readonly Tensor: new (type: string, data: unknown, dims: readonly number[]) => Tensor
  readonly InferenceSession: {
    create(bytes: Uint8Array, options: Readonly<Record<string, unknown>>): Promise<Session>
  }
}

export interface Runtime {
  load(artifacts: Artifacts, options: LoadingOptions): Promise<LoadedModel>
  dispose(): Promise<void>
}

export function openRuntime(main: string, provider: Provider): Runtime {
  const ort = requireRuntime(main)
  const sessions: Session[] = []
  const create = async (bytes: Uint8Array, on: Provider): Promise<Session> => {
    const session = await createSession(ort, bytes, on)
    sessions.push(session)
    return session
  }
  return {
    async load(artifacts) {
      if (artifacts.kind !== "onnx") throw new TypeError(`an ONNX model, not one of kind ${artifacts.kind}`)
      return await openModel(ort, await createFor(artifacts, provider, create), artifacts, provider)
    },
    async dispose() {
      for (const session of sessions.splice(0)) await session.release()
    },
  }
}

export interface Sessions {
  readonly session: Session
  /** The same model on the processor, for a GPU to be compared with. */
  readonly reference: Session | null
}

async function createFor(
  { bytes }: OnnxArtifacts,
  provider: Provider,
  create: (bytes: Uint8Array, on: Provider) => Promise<Session>,
): Promise<Sessions> {
  const reference = await create(bytes, "cpu").catch((cause: unknown) => {
    throw refused(`onnxruntime does not take it: ${firstLine(cause)}`, { cause })
  })
  if (provider === "cpu") return { session: reference, reference: null }
  const session = await create(bytes, provider).catch((cause: unknown) => {
    throw new EngineUnfit(`${provider} does not take it: ${firstLine(cause)}`, { cause })
  })
  return { session, reference }
}

function createSession(ort: OnnxRuntime, bytes: Uint8Array, provider: Provider): Promise<Session> {
  // Only what is fatal: native code writes to our streams.
  return ort.InferenceSession.create(bytes, { executionProviders: [provider], logSeverityLevel: 4 })
}

/** The answer to [1 2 3] times its transpose. */
export async function askProbe(main: string, provider: Provider): Promise<unknown> {
  const ort = requireRuntime(main)
  const session = await createSession(ort, probeModel, provider)
  try {
    const x = new ort.Tensor("float32", Float32Array.of(1, 2, 3), [1, 3])
    const { y } = await session.run({ x })
    const data = (await y?.getData()) as ArrayLike<number> | undefined
    return data?.[0]
  } finally {
    await session.release()
  }
}

function requireRuntime(main: string): OnnxRuntime {
  const ort = createRequire(main)(main) as OnnxRuntime
  ort.env.logLevel = "fatal"
  holdHalvesAsBits(ort)
  return ort
}

/**
 * Where there is a Float16Array, the package's JavaScript takes it, and its binding of 1.30 refuses it ("not enough space").
 * The first tensor decides for all; this thread is ours.
 */
function holdHalvesAsBits({ Tensor }: OnnxRuntime): void {
  const scope = globalThis as { Float16Array?: unknown }
  const held = scope.Float16Array
  try {
    scope.Float16Array = undefined
    new Tensor("bool", new Uint8Array(1), [1]).dispose()
  } finally {
    if (held === undefined) delete scope.Float16Array
    else scope.Float16Array = held
  }
}

function firstLine(error: unknown): string {
  const [line = ""] = messageOf(error).split("\n")
  // Native messages begin with the path of a source file on another machine.
  return line.replace(/^(?:\S*\/onnxruntime_src\/\S+\s+)?/, "").slice(0, 400)
}
