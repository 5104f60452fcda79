/** Sizes are bounded before anything is computed: of a model when it is loaded, of a question when it is asked. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { test } from "node:test"
import { loadVerified } from "@weighlock/runtime"
import { dense, filesOf, type SavedModel, save, tf, weightFile } from "./support.ts"
import { sample } from "../support/thorough.ts"

const { layers } = tf
const inside = (file: string): Promise<any> => import(new URL(file, import.meta.resolve("@weighlock/runtime")).href)
const sequential = (...list: any[]): any => tf.sequential({ layers: list })

/** Each answers one row with more than fits an answer, from next to nothing. */
const largeAnswers: Record<string, () => any> = {
  "RepeatVector after a Dense layer": () => sequential(dense(2, 3), layers.repeatVector({ n: 17_000_000 })),
  UpSampling2D: () => sequential(layers.upSampling2d({ size: [5000, 5000], inputShape: [1, 2, 1] })),
  ZeroPadding2D: () => sequential(layers.zeroPadding2d({ padding: 3500, inputShape: [1, 1, 1] })),
  Conv2DTranspose: () =>
    sequential(layers.conv2dTranspose({ filters: 1, kernelSize: 1, strides: 5000, inputShape: [2, 1, 1] })),
  Reshape: () => sequential(dense(2, 3), layers.repeatVector({ n: 17e6 }), layers.reshape({ targetShape: [34e6] })),
  "a nested model": () => sequential(sequential(dense(2, 3), layers.repeatVector({ n: 17_000_000 }))),
  "two outputs, each of which fits": () => {
    const input = tf.input({ shape: [1] })
    const repeat = (name: string): any => layers.repeatVector({ n: 17_000_000, name }).apply(input)
    return tf.model({ inputs: input, outputs: [repeat("a"), repeat("b")] })
  },
}

for (const [what, make] of sample(Object.entries(largeAnswers), 3)) {
  test(`refused at load: an answer that can't be sent, by ${what}`, async () => {
    const saved = await save(make())
    for (const device of ["wasm", "js"])
      await assert.rejects(loadVerified(filesOf(saved), { device }), { code: "MODEL_REFUSED" })
  })
}

/** With a size left open, a small question of which `few` is answered and `many` is not. */
const openModels: Record<string, { make: () => any; few: any; many: any }> = {
  UpSampling2D: {
    make: () => sequential(layers.upSampling2d({ size: [3000, 3000], inputShape: [null, null, 1] }), pooled()),
    few: [[[1]]],
    many: Array.from({ length: 10 }, () => Array.from({ length: 10 }, () => [1])),
  },
  Conv2DTranspose: {
    make: () =>
      sequential(
        layers.conv2dTranspose({ filters: 2, kernelSize: 1, strides: 500, inputShape: [null, null, 1] }),
        pooled(),
      ),
    few: [[[1]]],
    many: Array.from({ length: 40 }, () => Array.from({ length: 40 }, () => [1])),
  },
  Conv2D: {
    make: () =>
      sequential(
        layers.conv2d({ filters: 512, kernelSize: 1, padding: "same", inputShape: [null, null, 1] }),
        pooled(),
      ),
    few: [[[1]]],
    many: Array.from({ length: 1100 }, () => Array.from({ length: 1100 }, () => [1])),
  },
  Dot: {
    make: () => {
      const input = tf.input({ shape: [null, 1], name: "steps" })
      const every = layers.dot({ axes: [2, 2] }).apply([input, input])
      return tf.model({ inputs: input, outputs: layers.globalMaxPooling1d({}).apply(every) })
    },
    few: [[1], [2]],
    many: Array.from({ length: 30_000 }, () => [1]),
  },
  Embedding: {
    make: () =>
      sequential(
        layers.embedding({ inputDim: 2, outputDim: 8192, inputShape: [null] }),
        layers.globalAveragePooling1d(),
      ),
    few: [0, 1],
    many: Array(100_000).fill(1),
  },
}

const pooled = (): any => layers.globalAveragePooling2d({})

for (const [what, { make, few, many }] of Object.entries(openModels)) {
  test(`a question too large for one operation of ${what} is INPUT_INVALID, and the engine lives on`, async () => {
    const saved = await save(make())
    const model = await loadVerified(filesOf(saved), { device: "wasm" })
    const expected = await model.predict(few)
    await assert.rejects(model.predict(many), { code: "INPUT_INVALID", message: /would need \d+ more bytes/ })
    assert.equal(model.failure, null)
    assert.deepEqual(await model.predict(few), expected)
    await model.dispose()
  })
}

test("a picture is averaged where it lies: the result is small", async () => {
  const { kernelOutput } = await inside("./engines/tfjs/kernel-sizes.ts")
  const x = { shape: [2, 1600, 1600, 128] }
  assert.equal(kernelOutput("Mean", { x }, { axis: [1, 2] }), 256)
  assert.equal(kernelOutput("Max", { x }, { reductionIndices: -1 }), 2 * 1600 * 1600)
  assert.equal(kernelOutput("Sum", { x }, {}), 1)
  assert.equal(kernelOutput("Slice", { x }, { begin: [1, 0, 0, 0], size: [1, -1, -1, 1] }), 1600 * 1600)
})

async function openHere({ json, weights }: SavedModel): Promise<{ loaded: any; engine: any }> {
  const { openJs } = await inside("./engines/tfjs/js.ts")
  const { openLayersModel } = await inside("./engines/tfjs/layers-model.ts")
  const { openFormat } = await inside("./formats/format.ts")
  const engine = await openJs()
  const files = { "model.json": new Uint8Array(Buffer.from(JSON.stringify(json))), [weightFile]: weights }
  const artifacts = openFormat("tfjs-layers", "model.json", new Map(Object.entries(files)))
  const loaded = await openLayersModel(engine, artifacts, performance.now())
  return { loaded, engine: engine.tf.engine() }
}

test("what is alive together is bounded, however small each part is", async () => {
  const { MemoryGuard } = await inside("./engines/tfjs/memory-guard.ts")
  const { openJs } = await inside("./engines/tfjs/js.ts")
  const { tf: library, backend } = await openJs()
  const guard = new MemoryGuard(library, backend, 1_000_000)
  const before = library.memory().numTensors
  const ones = library.ones([100, 100])
  const sum = (count: number): any =>
    guard.within(() => library.tidy(() => library.addN(Array.from({ length: count }, () => library.add(ones, 1)))))
  sum(20).dispose()
  assert.throws(() => sum(30), { code: "INPUT_INVALID" })
  ones.dispose()
  assert.equal(library.memory().numTensors, before)
})

const shapes: Record<string, { make: (...list: any[]) => any; input: (number | null)[] }> = {
  dense: { make: () => layers.dense({ units: 7, activation: "relu" }), input: [3] },
  "conv1d, dilated": { make: () => layers.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2 }), input: [9, 2] },
  "conv2d, valid": { make: () => layers.conv2d({ filters: 3, kernelSize: [2, 3] }), input: [7, 8, 2] },
  "conv2d, same": { make: () => layers.conv2d({ filters: 3, kernelSize: 3, padding: "same" }), input: [7, 8, 2] },
  "conv2d, strides": { make: () => layers.conv2d({ filters: 5, kernelSize: 4, strides: [2, 3] }), input: [9, 8, 2] },
  conv3d: { make: () => layers.conv3d({ filters: 3, kernelSize: 2, padding: "same" }), input: [4, 4, 4, 2] },
  conv2dTranspose: {
    make: () => layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: "same" }),
    input: [5, 4, 2],
  },
  conv3dTranspose: {
    make: () => layers.conv3dTranspose({ filters: 2, kernelSize: 2, strides: 2 }),
    input: [3, 3, 3, 1],
  },
  depthwiseConv2d: { make: () => layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 3 }), input: [7, 7, 2] },
  separableConv2d: { make: () => layers.separableConv2d({ filters: 6, kernelSize: 3 }), input: [7, 7, 2] },
  upSampling2d: { make: () => layers.upSampling2d({ size: [3, 4] }), input: [5, 6, 2] },
  zeroPadding2d: { make: () => layers.zeroPadding2d({ padding: [[1, 2], [3, 4]] }), input: [5, 6, 2] }, // prettier-ignore
  cropping2d: { make: () => layers.cropping2D({ cropping: [[1, 1], [2, 1]] }), input: [5, 6, 2] }, // prettier-ignore
  repeatVector: { make: () => layers.repeatVector({ n: 9 }), input: [4] },
  embedding: { make: () => layers.embedding({ inputDim: 3, outputDim: 8 }), input: [5] },
  flatten: { make: () => layers.flatten(), input: [3, 4] },
  reshape: { make: () => layers.reshape({ targetShape: [4, 3] }), input: [3, 4] },
  permute: { make: () => layers.permute({ dims: [2, 1] }), input: [3, 4] },
  maxPooling2d: { make: () => layers.maxPooling2d({ poolSize: 2 }), input: [6, 6, 2] },
  averagePooling2d: {
    make: () => layers.averagePooling2d({ poolSize: 3, strides: 1, padding: "same" }),
    input: [6, 6, 2],
  },
  averagePooling3d: { make: () => layers.averagePooling3d({ poolSize: 2 }), input: [4, 4, 4, 2] },
  globalAveragePooling2d: { make: () => layers.globalAveragePooling2d({}), input: [5, 6, 2] },
  globalMaxPooling1d: { make: () => layers.globalMaxPooling1d({}), input: [6, 2] },
  batchNormalization: { make: () => layers.batchNormalization(), input: [6, 2] },
  layerNormalization: { make: () => layers.layerNormalization(), input: [6, 2] },
  prelu: { make: () => layers.prelu(), input: [6, 2] },
  softmax: { make: () => layers.softmax(), input: [6] },
  lstm: {
    make: () => layers.lstm({ units: 9, returnSequences: true, recurrentInitializer: "glorotNormal" }),
    input: [4, 2],
  },
  gru: { make: () => layers.gru({ units: 9, recurrentInitializer: "glorotNormal" }), input: [4, 2] },
  bidirectional: {
    make: () =>
      layers.bidirectional({
        layer: layers.simpleRNN({ units: 9, recurrentInitializer: "glorotNormal" }),
        mergeMode: "concat",
      }),
    input: [4, 2],
  },
  timeDistributed: { make: () => layers.timeDistributed({ layer: layers.dense({ units: 11 }) }), input: [4, 2] },
  nested: {
    make: () => sequential(layers.dense({ units: 5, inputShape: [3] }), layers.repeatVector({ n: 4 })),
    input: [3],
  },
}

for (const [name, { make, input }] of sample(Object.entries(shapes), 2)) {
  test(`what an operation makes is known before it runs: ${name}`, async () => {
    const symbol = tf.input({ shape: input })
    const made = await openHere(await save(tf.model({ inputs: symbol, outputs: make().apply(symbol) })))
    const { kernelOutput } = await inside("./engines/tfjs/kernel-sizes.ts")
    const { loaded, engine } = made
    const runKernel = engine.runKernel
    const seen: string[] = []
    engine.runKernel = (kernel: string, inputs: any, attributes: any) => {
      const expected = kernelOutput(kernel, inputs, attributes ?? {})
      const result = runKernel(kernel, inputs, attributes)
      const given = new Set(Object.values(inputs as object).map((input: any) => input?.dataId))
      const made = [result].flat().filter(({ dataId }) => !given.has(dataId))
      for (const { size } of made) assert.ok(size <= expected, `${kernel} made ${size}, not ${expected}`)
      seen.push(kernel)
      return result
    }
    try {
      const count = input.reduce<number>((total, size) => total * Number(size), 2)
      await loaded.predict([{ shape: [2, ...input], data: new Float32Array(count) }])
    } finally {
      engine.runKernel = runKernel
    }
    assert.notEqual(seen.length, 0)
  })
}
