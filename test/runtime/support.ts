/** Small real models, saved by tfjs-layers itself, and verified files that were not verified: tests only. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import { createHash } from "node:crypto"
import { createRequire } from "node:module"
import type { VerifiedFiles } from "@weighlock/client"

// The runtime's own TensorFlow.js; test/ has none.
const runtimeRequire = createRequire(createRequire(import.meta.url).resolve("@weighlock/runtime/package.json"))

type Any = any
const core: Any = runtimeRequire("@tensorflow/tfjs-core")
const layers: Any = runtimeRequire("@tensorflow/tfjs-layers")
runtimeRequire("@tensorflow/tfjs-backend-cpu")
core.enableProdMode()

export const tf: Any = { ...core, ...layers }

export interface ModelJson {
  format?: unknown
  modelTopology: Any
  weightsManifest: Any
}

export interface SavedModel {
  readonly json: ModelJson
  readonly weights: Uint8Array<ArrayBuffer>
}

export const weightFile = "group1-shard1of1.bin"

/** Two images to ten probabilities, the notebook's shape in small. */
export function mnistLike(): Any {
  const model = tf.sequential({ name: "mnist" })
  model.add(tf.layers.reshape({ inputShape: [28, 28], targetShape: [28, 28, 1], name: "image" }))
  model.add(tf.layers.conv2d({ filters: 4, kernelSize: 3, activation: "relu", name: "conv" }))
  model.add(tf.layers.maxPooling2d({ poolSize: 2, name: "pool" }))
  model.add(tf.layers.flatten({ name: "flat" }))
  model.add(tf.layers.dropout({ rate: 0.25, name: "drop" }))
  model.add(tf.layers.dense({ units: 10, activation: "softmax", name: "prob", biasInitializer: "glorotNormal" }))
  return model
}

export function dense(units = 3, inputs = 2): Any {
  const model = tf.sequential({ name: "tiny" })
  model.add(tf.layers.dense({ units, inputShape: [inputs], name: "out", biasInitializer: "ones" }))
  return model
}

/** Two inputs, two outputs. */
export function twoHeaded(): Any {
  const a = tf.input({ shape: [2], name: "a" })
  const b = tf.input({ shape: [3], name: "b" })
  const joined = tf.layers.concatenate({ name: "joined" }).apply([a, b])
  const sum = tf.layers.dense({ units: 1, kernelInitializer: "ones", name: "sum" }).apply(joined)
  const double = tf.layers.dense({ units: 2, kernelInitializer: "ones", name: "pair" }).apply(joined)
  return tf.model({ inputs: [a, b], outputs: [sum, double], name: "heads" })
}

export async function save(model: Any): Promise<SavedModel> {
  let saved: SavedModel | undefined
  await model.save(
    tf.io.withSaveHandler((artifacts: Any) => {
      const { modelTopology, weightSpecs, weightData } = artifacts
      const json = {
        format: "layers-model",
        modelTopology: JSON.parse(JSON.stringify(modelTopology)),
        weightsManifest: [{ paths: [weightFile], weights: structuredClone(weightSpecs) }],
      }
      saved = { json, weights: new Uint8Array(weightData as ArrayBuffer) }
      return Promise.resolve({ modelArtifactsInfo: {} })
    }),
  )
  if (!saved) throw new Error("not saved")
  return saved
}

/** What `model.json` and one weight file would be after fetchModel; each call has buffers of its own. */
export function filesOf({ json, weights }: SavedModel): VerifiedFiles {
  return verified({ "model.json": JSON.stringify(json), [weightFile]: weights })
}

export function verified(files: Record<string, string | Uint8Array>, manifest: object = {}): VerifiedFiles {
  const entries = Object.entries(files).map(([name, content]) => {
    const bytes = new Uint8Array(typeof content === "string" ? Buffer.from(content) : content)
    return [
      name,
      { name, size: bytes.length, digest: createHash("sha256").update(bytes).digest("hex"), bytes },
    ] as const
  })
  const described = {
    digest: "ab".repeat(32),
    registry: "localhost",
    model: "acme/mnist",
    version: "1.2.0",
    format: "tfjs-layers",
    entrypoint: "model.json",
    ...manifest,
  }
  return { manifest: described, files: new Map(entries) } as unknown as VerifiedFiles
}

export function image(seed: number): number[][] {
  return Array.from({ length: 28 }, (_, y) =>
    Array.from({ length: 28 }, (_, x) => ((x * 7 + y * 13 + seed * 29) % 255) / 255),
  )
}

export function close(actual: readonly unknown[], expected: readonly number[], tolerance = 1e-5): boolean {
  return (
    actual.length === expected.length &&
    expected.every((value, at) => Math.abs(Number(actual[at]) - value) <= tolerance)
  )
}
