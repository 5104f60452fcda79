/**
 * The notebook's network, trained on the real digits: 28×28 → flatten → 128 ReLU → dropout 0.2 → 10 softmax, Adam,
 * sparse categorical cross-entropy, batches of 32. Written as TensorFlow.js writes a layers model: model.json and one
 * weight file of 407,080 bytes.
 */
import { mkdir, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join, sep } from "node:path"
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm"
import * as tf from "@tensorflow/tfjs-core"
import * as layers from "@tensorflow/tfjs-layers"
import { type Digits, pixels, side } from "./mnist.ts"

export type Network = layers.LayersModel

export async function makeNetwork(): Promise<Network> {
  tf.enableProdMode()
  setWasmPaths(dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm")) + sep)
  await tf.setBackend("wasm")
  const network = layers.sequential({
    layers: [
      layers.layers.flatten({ inputShape: [side, side] }),
      layers.layers.dense({ units: 128, activation: "relu" }),
      layers.layers.dropout({ rate: 0.2 }),
      layers.layers.dense({ units: 10, activation: "softmax", name: "prob" }),
    ],
  })
  network.compile({ optimizer: tf.train.adam(), loss: "sparseCategoricalCrossentropy", metrics: ["accuracy"] })
  return network
}

/** Trains on the digits from `from` up to `to`; `onBatch` hears how many are done and the loss so far. */
export async function train(
  network: Network,
  digits: Digits,
  { from, to, epochs }: { from: number; to: number; epochs: number },
  onBatch: (done: number, loss: number) => void,
): Promise<void> {
  const count = to - from
  const inputs = tf.tensor3d(
    Float32Array.from(digits.images.subarray(from * pixels, to * pixels), (ink) => ink / 255),
    [count, side, side],
  )
  const labels = tf.tensor1d(Float32Array.from(digits.labels.subarray(from, to)))
  let done = 0
  await network.fit(inputs, labels, {
    epochs,
    batchSize: 32,
    shuffle: true,
    callbacks: {
      onBatchEnd: (_batch: number, logs?: layers.Logs) => {
        done += logs?.["size"] ?? 0
        onBatch(done, logs?.["loss"] ?? 0)
      },
    },
  })
  tf.dispose([inputs, labels])
}

export async function save(network: Network, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  await network.save(
    tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData, format, generatedBy, convertedBy }) => {
      const weights = "group1-shard1of1.bin"
      const manifest = [{ paths: [weights], weights: weightSpecs }]
      const model = { format, generatedBy, convertedBy, modelTopology, weightsManifest: manifest }
      await writeFile(join(folder, "model.json"), JSON.stringify(model))
      await writeFile(join(folder, weights), Buffer.from(tf.io.CompositeArrayBuffer.join(weightData)))
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } }
    }),
  )
}
