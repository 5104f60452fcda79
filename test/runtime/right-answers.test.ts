/** An engine answers right, or is passed over: what WebAssembly gets wrong goes to plain JavaScript, and says why. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { test } from "node:test"
import { loadVerified, type Model } from "@weighlock/runtime"
import { close, filesOf, save, tf } from "./support.ts"
import { sample } from "../support/thorough.ts"

type Network = any
const { layers } = tf

const one = (layer: Network): Network => tf.sequential({ layers: [layer] })

/** Per engine: the model, then gone. */
async function withModel(network: Network, device: string, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await loadVerified(filesOf(await save(network)), { device })
  try {
    await use(model)
  } finally {
    await model.dispose()
  }
}

async function answersAsTheLibrary(network: Network, model: Model): Promise<void> {
  const shape: number[] = network.inputs[0].shape.slice(1)
  const question = tf.randomUniform([1, ...shape], -2, 2, "float32", 7)
  const expected = [...(await network.predict(question).data())] as number[]
  const [instance] = await question.array()
  const [answer] = Object.values(await model.predict(instance))
  assert.ok(close([answer].flat(9), expected), `${String(answer)} is not ${String(expected)}`)
}

const same = { padding: "same", kernelInitializer: "glorotNormal" }
const wrongOnWasm: Record<string, () => Network> = {
  "conv1d, kernel 3, stride 4": () =>
    layers.conv1d({ ...same, filters: 2, kernelSize: 3, strides: 4, inputShape: [8, 1] }),
  "conv2d, kernel 3, stride 4": () =>
    layers.conv2d({ ...same, filters: 2, kernelSize: 3, strides: 4, inputShape: [8, 8, 1] }),
  "conv2d on one axis": () =>
    layers.conv2d({ ...same, filters: 2, kernelSize: [3, 1], strides: [1, 2], inputShape: [4, 6, 1] }),
  "conv2d, channels first": () =>
    layers.conv2d({
      ...same,
      filters: 2,
      kernelSize: 1,
      strides: 2,
      dataFormat: "channelsFirst",
      inputShape: [1, 4, 6],
    }),
  "depthwise conv2d": () => layers.depthwiseConv2d({ ...same, kernelSize: 2, strides: 3, inputShape: [6, 6, 2] }),
  "separable conv2d": () =>
    layers.separableConv2d({ padding: "same", filters: 2, kernelSize: 2, strides: 3, inputShape: [6, 6, 2] }),
  "max pooling 3d": () => layers.maxPooling3d({ poolSize: 2, inputShape: [2, 2, 2, 1] }),
  "prelu that shares its last axis": () =>
    layers.prelu({ sharedAxes: [2], alphaInitializer: "randomNormal", inputShape: [3, 4] }),
  "a convolution distributed over time": () =>
    layers.timeDistributed({
      layer: layers.conv2d({ ...same, filters: 1, kernelSize: 1, strides: 2 }),
      inputShape: [2, 4, 4, 1],
    }),
}

for (const [name, make] of sample(Object.entries(wrongOnWasm), 3)) {
  test(`passed over: ${name}`, async () => {
    const network = one(make())
    for (const device of ["auto", "cpu"]) {
      await withModel(network, device, async (model) => {
        assert.equal(model.engine.name, "js")
        const why = model.engine.passedOver.find((passed) => passed.name === "wasm")?.why ?? ""
        assert.match(why, /wrong for layer \w+ \(\w+\): /)
        await answersAsTheLibrary(network, model)
      })
    }
    const byName = loadVerified(filesOf(await save(network)), { device: "wasm" })
    await assert.rejects(byName, { code: "MODEL_REFUSED", message: /wrong for layer/ })
  })
}

test("passed over: a layer inside a model inside a model", async () => {
  const inner = one(layers.conv2d({ ...same, filters: 1, kernelSize: 1, strides: 2, inputShape: [4, 4, 1] }))
  await withModel(tf.sequential({ layers: [one(inner)] }), "auto", async (model) => {
    assert.equal(model.engine.name, "js")
  })
})

test("passed over: a size that the question decides", async () => {
  const network = one(layers.conv1d({ ...same, filters: 1, kernelSize: 1, strides: 2, inputShape: [null, 1] }))
  await withModel(network, "auto", async (model) => assert.equal(model.engine.name, "js"))
})

const rightOnWasm: Record<string, () => Network> = {
  "kernel 2, stride 4, where nothing is skipped": () =>
    layers.conv1d({ ...same, filters: 2, kernelSize: 2, strides: 4, inputShape: [5, 1] }),
  "valid padding": () => layers.conv1d({ filters: 2, kernelSize: 1, strides: 3, inputShape: [7, 1] }),
  "kernel 3, stride 2": () => layers.conv2d({ ...same, filters: 2, kernelSize: 3, strides: 2, inputShape: [7, 6, 2] }),
  "conv2d transposed": () =>
    layers.conv2dTranspose({ ...same, filters: 2, kernelSize: 1, strides: 2, inputShape: [3, 3, 2] }),
  "pooling, same": () => layers.maxPooling2d({ poolSize: 1, strides: 3, padding: "same", inputShape: [6, 6, 2] }),
  "prelu that shares its first axis": () =>
    layers.prelu({ sharedAxes: [1], alphaInitializer: "randomNormal", inputShape: [3, 4] }),
  "conv3d transposed": () =>
    layers.conv3dTranspose({ filters: 1, kernelSize: 2, strides: 2, inputShape: [1, 2, 1, 1] }),
  "an average of 4,225 values": () => layers.averagePooling2d({ poolSize: 65, inputShape: [65, 65, 1] }),
  "conv3d, valid": () => layers.conv3d({ filters: 2, kernelSize: 2, strides: 3, inputShape: [5, 5, 5, 1] }),
}

for (const [name, make] of sample(Object.entries(rightOnWasm), 2)) {
  test(`not passed over: ${name}`, async () => {
    const network = one(make())
    await withModel(network, "auto", async (model) => {
      assert.equal(model.engine.name, "wasm")
      await answersAsTheLibrary(network, model)
    })
  })
}

const wrongEverywhere: Record<string, () => Network> = {
  conv3d: () => layers.conv3d({ ...same, filters: 1, kernelSize: 1, strides: 2, inputShape: [4, 4, 4, 1] }),
  "average pooling 3d": () =>
    layers.averagePooling3d({ poolSize: 1, strides: 2, padding: "same", inputShape: [4, 4, 4, 1] }),
}

for (const [name, make] of Object.entries(wrongEverywhere)) {
  test(`refused, as no engine answers right: ${name}, same, smaller than the stride`, async () => {
    for (const device of ["cpu", "js"]) {
      const loading = loadVerified(filesOf(await save(one(make()))), { device })
      await assert.rejects(loading, { code: "MODEL_REFUSED" })
    }
  })
}

const grid = (height: number, width: number, value: number[]): number[][][] =>
  Array.from({ length: height }, () => Array.from({ length: width }, () => value))

test("a mean is right, however many values it has", async () => {
  const network = one(layers.globalAveragePooling2d({ inputShape: [null, null, 2] }))
  for (const device of ["wasm", "js"]) {
    await withModel(network, device, async (model) => {
      const { [model.outputs[0]!.name]: answer } = await model.predict(grid(300, 200, [1.1, -9]))
      assert.ok(close(answer as number[], [1.1, -9], 1e-6), `${device}: ${String(answer)}`)
    })
  }
})

test("a mean over any axes is the library's", async () => {
  for (const axis of sample<number | number[]>([1, 2, 3, -1, [1, 2], [1, 3], [2, 3], [1, 2, 3]], 3)) {
    const network = one(layers.layerNormalization({ axis, inputShape: [3, 4, 5] }))
    await withModel(network, "wasm", (model) => answersAsTheLibrary(network, model))
  }
})
