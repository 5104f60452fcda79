/** A value that is not finite is refused on every engine, also where what comes after would hide it. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { test } from "node:test"
import { loadVerified, type Model } from "@weighlock/runtime"
import { filesOf, save, tf } from "./support.ts"
import { sample } from "../support/thorough.ts"

type Network = any
const { layers } = tf
const engines = ["wasm", "js"]

async function withModel(network: Network, device: string, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await loadVerified(filesOf(await save(network)), { device })
  try {
    await use(model)
  } finally {
    await model.dispose()
  }
}

/** What may hide it: each makes something finite of NaN or of an infinity on one engine or the other. */
const after: Record<string, Network[]> = {
  relu: [layers.reLU()],
  softmax: [layers.softmax()],
  "max pooling": [layers.reshape({ targetShape: [2, 1] }), layers.maxPooling1d({ poolSize: 2 })],
  cropping: [
    layers.reshape({ targetShape: [2, 1, 1] }),
    layers.cropping2D({
      cropping: [
        [1, 0],
        [0, 0],
      ],
    }),
  ],
}

const inside: Record<string, (units: object) => Network> = {
  "a dense layer": (options) => layers.dense({ units: 2, inputShape: [2], ...options }),
  "a dense layer with relu": (options) => layers.dense({ units: 2, inputShape: [2], activation: "relu", ...options }),
  "a dense layer with relu6": (options) => layers.dense({ units: 2, inputShape: [2], activation: "relu6", ...options }),
  "a dense layer with elu": (options) => layers.dense({ units: 2, inputShape: [2], activation: "elu", ...options }),
}

async function refusesAll(network: Network): Promise<void> {
  for (const device of engines) {
    await withModel(network, device, async (model) => {
      await assert.rejects(model.predict([1, 2]), { code: "OUTPUT_INVALID" }, device)
    })
  }
}

function planted(network: Network, value: number): Network {
  const [kernel, bias] = network.getWeights()
  network.setWeights([kernel, tf.tensor([value, 1], bias.shape), ...network.getWeights().slice(2)])
  return network
}

for (const [name, hiding] of sample(Object.entries(after), 2)) {
  test(`NaN before ${name}`, () =>
    refusesAll(planted(tf.sequential({ layers: [inside["a dense layer"]!({}), ...hiding] }), NaN)))
}

for (const [name, make] of sample(Object.entries(inside), 2)) {
  test(`NaN inside ${name}`, () => refusesAll(planted(tf.sequential({ layers: [make({})] }), NaN)))
}

for (const value of [Infinity, -Infinity]) {
  test(`${value} inside a dense layer with relu6`, () =>
    refusesAll(planted(tf.sequential({ layers: [inside["a dense layer with relu6"]!({})] }), value)))
}

const convolutions: Record<string, (options: object) => Network> = {
  conv1d: (options) => layers.conv1d({ filters: 2, kernelSize: 2, inputShape: [3, 1], ...options }),
  conv2d: (options) => layers.conv2d({ filters: 2, kernelSize: 2, inputShape: [3, 3, 1], ...options }),
  depthwise: (options) =>
    layers.depthwiseConv2d({ kernelSize: 2, depthMultiplier: 2, inputShape: [3, 3, 1], ...options }),
}

for (const [name, make] of sample(Object.entries(convolutions), 2)) {
  test(`NaN inside ${name} with relu`, async () => {
    const network = planted(tf.sequential({ layers: [make({ activation: "relu" })] }), NaN)
    for (const device of engines) {
      await withModel(network, device, async (model) => {
        const question = await tf.ones(network.inputs[0].shape.slice(1)).array()
        await assert.rejects(model.predict(question), { code: "OUTPUT_INVALID" })
      })
    }
  })
}

test("an overflow is refused, the next question is answered", async () => {
  const network = tf.sequential({
    layers: [
      layers.dense({ units: 1, inputShape: [1], kernelInitializer: "ones" }),
      layers.activation({ activation: "sigmoid" }),
    ],
  })
  network.setWeights([tf.tensor([[1e30]]), tf.tensor([0])])
  for (const device of engines) {
    await withModel(network, device, async (model) => {
      await assert.rejects(model.predict([1e30]), { code: "OUTPUT_INVALID" })
      assert.deepEqual(Object.values(await model.predict([0])), [[0.5]])
    })
  }
})

const embedding = (): Network =>
  tf.sequential({ layers: [layers.embedding({ inputDim: 10, outputDim: 2, inputShape: [null] })] })

for (const device of engines) {
  test(`${device}: an id that is in no vocabulary of 10`, async () => {
    await withModel(embedding(), device, async (model) => {
      for (const id of [10, -1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, -(2 ** 31) - 1, 1e30]) {
        await assert.rejects(model.predict([3, id]), { code: "INPUT_INVALID" }, String(id))
      }
      assert.equal((Object.values(await model.predict([0, 9]))[0] as unknown[]).length, 2)
    })
  })
}

const windows: Record<string, Network> = {
  conv1d: layers.conv1d({ filters: 1, kernelSize: 4, inputShape: [null, 1] }),
  "dilated conv1d": layers.conv1d({ filters: 1, kernelSize: 3, dilationRate: 2, inputShape: [null, 1] }),
  "max pooling": layers.maxPooling1d({ poolSize: 4, inputShape: [null, 1] }),
  "average pooling": layers.averagePooling1d({ poolSize: 4, inputShape: [null, 1] }),
}

const series = (length: number): number[][] => Array.from({ length }, () => [1])

for (const [name, layer] of sample(Object.entries(windows), 3)) {
  test(`a question smaller than the window is refused: ${name}`, async () => {
    for (const device of engines) {
      await withModel(tf.sequential({ layers: [layer] }), device, async (model) => {
        for (const length of [1, 2, 3]) {
          await assert.rejects(model.predict(series(length)), { code: "INPUT_INVALID" }, device)
        }
        assert.ok(Object.values(await model.predict(series(8))).length > 0)
      })
    }
  })

  test(`a window larger than the input is refused at load: ${name}`, async () => {
    const network = tf.sequential({ layers: [layer] })
    const saved = await save(network)
    saved.json.modelTopology.config.layers[0].config.batch_input_shape = [null, 3, 1]
    await assert.rejects(loadVerified(filesOf(saved)), { code: "MODEL_REFUSED" })
  })
}
