/** The engines of the TensorFlow.js family: one for each backend. Their modules are loaded when they are opened. */
import { createRequire } from "node:module"
import { messageOf } from "../../errors.ts"
import type { Engine, OpenedEngine, Probe } from "../engine.ts"
import { checkNative } from "../installed/check-native.ts"
import { findPackage, tfjsNodeGpuPackage } from "../installed/packages.ts"
import type { Backend, OpenedBackend } from "./backend.ts"

interface Family {
  readonly name: string
  readonly device: "gpu" | "cpu"
  /** What is loaded; `null` when it is not installed. */
  readonly locate: () => Omit<Probe, "why" | "software"> | null
  readonly openBackend: () => Promise<OpenedBackend>
}

const formats: readonly string[] = ["tfjs-layers", "tfjs-graph", "keras-h5", "keras-v3"]

const ownDependency = (name: string) => () => {
  const path = createRequire(import.meta.url).resolve(name)
  const { version } = createRequire(import.meta.url)(`${name}/package.json`) as { version: string }
  return { path, version, locked: null }
}

function tfjsNodeGpu() {
  const found = findPackage(tfjsNodeGpuPackage)
  if (found === null) return null
  return { path: found.folder, version: found.version, locked: checkNative(tfjsNodeGpuPackage, found).locked }
}

/** Fastest first. */
export const tfjsEngines: readonly Engine[] = [
  engine({
    name: "tfjs-node-gpu",
    device: "gpu",
    locate: tfjsNodeGpu,
    openBackend: async () => (await import("./tfjs-node-gpu.ts")).openTfjsNodeGpu(),
  }),
  engine({
    name: "wasm",
    device: "cpu",
    locate: ownDependency("@tensorflow/tfjs-backend-wasm"),
    openBackend: async () => (await import("./wasm.ts")).openWasm(),
  }),
  engine({
    name: "js",
    device: "cpu",
    locate: ownDependency("@tensorflow/tfjs-backend-cpu"),
    openBackend: async () => (await import("./js.ts")).openJs(),
  }),
]

function engine({ name, device, locate, openBackend }: Family): Engine {
  return {
    name,
    device,
    formats,
    async probe() {
      const found = locate() ?? { path: null, version: null, locked: false }
      return { ...found, software: false, why: await whyNot(openBackend) }
    },
    async open() {
      const opened = await openBackend()
      return opened.available ? await ready(opened) : opened
    },
  }
}

async function ready(backend: Backend): Promise<OpenedEngine> {
  const { openLayersModel } = await import("./layers-model.ts")
  return {
    available: true,
    detail: backend.detail,
    software: false,
    async load(artifacts, { started }) {
      if (artifacts.kind === "layers") return await openLayersModel(backend, artifacts, started)
      if (artifacts.kind !== "graph") throw new TypeError(`not a model of this library, but of kind ${artifacts.kind}`)
      const { openGraphModel } = await import("./graph-model.ts")
      return await openGraphModel(backend, artifacts, started)
    },
    dispose: () => backend.tf.disposeVariables(),
  }
}

// [1 2 3] times its transpose is 14; a backend that is not what it says, or computes elsewhere, shows.
async function whyNot(openBackend: Family["openBackend"]): Promise<string | null> {
  try {
    const opened = await openBackend()
    if (!opened.available) return opened.why
    const { tf, backend } = opened
    const row = tf.tensor2d([1, 2, 3], [1, 3])
    const product = tf.matMul(row, row, false, true)
    const [answer] = await product.data()
    tf.dispose([row, product])
    if (answer !== 14) return `it answers ${answer} where 14 is right`
    return tf.getBackend() === backend ? null : `it moved from ${backend} to ${tf.getBackend()}`
  } catch (error) {
    return messageOf(error)
  }
}
