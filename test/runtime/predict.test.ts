/** A model saved by tfjs-layers answers the same through Weighlock, on every CPU engine. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { loadVerified, type Model } from "@weighlock/runtime"
import {
  close,
  dense,
  filesOf,
  image,
  mnistLike,
  type SavedModel,
  save,
  tf,
  twoHeaded,
  verified,
  weightFile,
} from "./support.ts"
import { sample } from "../support/thorough.ts"

const engines = ["wasm", "js"]
const pictures = [image(1), image(2), image(3)]

async function withModel(saved: SavedModel, device: string, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await loadVerified(filesOf(saved), { device })
  try {
    await use(model)
  } finally {
    await model.dispose()
  }
}

for (const device of engines) {
  test(`${device}: the notebook's shape, one picture in, ten probabilities out`, async () => {
    const source = mnistLike()
    const saved = await save(source)
    await withModel(saved, device, async (model) => {
      assert.deepEqual(model.inputs, [{ name: "image_input", shape: [28, 28], dtype: "float32" }])
      assert.deepEqual(model.outputs, [{ name: "prob", shape: [10], dtype: "float32" }])
      assert.deepEqual([model.engine.name, model.engine.device], [device, "cpu"])
      const expected = await source.predict(tf.tensor3d(pictures)).array()
      for (const [index, picture] of pictures.entries()) {
        const { prob } = await model.predict(picture)
        assert.ok(close(prob as number[], expected[index]))
      }
      const flat = await model.predict(Float32Array.from(pictures[0]?.flat() ?? []))
      assert.ok(close(flat["prob"] as number[], expected[0]))
      assert.equal((await model.predictBatch(pictures)).length, 3)
      assert.deepEqual(await model.predictBatch([]), [])
    })
  })

  test(`${device}: several inputs and outputs go by name`, async () => {
    await withModel(await save(twoHeaded()), device, async (model) => {
      assert.deepEqual(await model.predict({ b: [3, 4, 5], a: [1, 2] }), { sum: [15], pair: [15, 15] })
      await assert.rejects(model.predict([1, 2]), { code: "INPUT_INVALID" })
      await assert.rejects(model.predict({ a: [1, 2] }), { code: "INPUT_INVALID" })
      await assert.rejects(model.predict({ a: [1, 2], b: [3, 4, 5], c: [] }), { code: "INPUT_INVALID" })
    })
  })
}

// The library's default, "orthogonal", does not run in its own Node build.
const plain = { recurrentInitializer: "glorotNormal" }

const architectures: Record<string, () => unknown> = {
  lstm: () => tf.sequential({ layers: [tf.layers.lstm({ units: 3, inputShape: [5, 2], ...plain })] }),
  gru: () =>
    tf.sequential({ layers: [tf.layers.gru({ units: 3, inputShape: [5, 2], returnSequences: true, ...plain })] }),
  bidirectional: () =>
    tf.sequential({
      layers: [
        tf.layers.bidirectional({
          layer: tf.layers.simpleRNN({ units: 2, ...plain }),
          mergeMode: "concat",
          inputShape: [4, 2],
        }),
      ],
    }),
  "batch normalisation": () => tf.sequential({ layers: [tf.layers.batchNormalization({ inputShape: [4] })] }),
  "separable convolution": () =>
    tf.sequential({ layers: [tf.layers.separableConv2d({ filters: 2, kernelSize: 2, inputShape: [5, 5, 3] })] }),
  "transposed convolution": () =>
    tf.sequential({
      layers: [tf.layers.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 2, inputShape: [4, 4, 1] })],
    }),
  "time distributed": () =>
    tf.sequential({
      layers: [tf.layers.timeDistributed({ layer: tf.layers.dense({ units: 2 }), inputShape: [3, 4] })],
    }),
  "nested model": () => tf.sequential({ layers: [dense(3, 2), tf.layers.dense({ units: 2, constraint: "nonNeg" })] }),
  "shared layer": () => {
    const input = tf.input({ shape: [4] })
    const shared = tf.layers.dense({ units: 4, name: "twice" })
    return tf.model({ inputs: input, outputs: shared.apply(shared.apply(input)) })
  },
  "constrained weights": () =>
    tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3], kernelConstraint: "nonNeg" })] }),
}

for (const [name, make] of sample(Object.entries(architectures), 3)) {
  test(`wasm and js agree with the library: ${name}`, async () => {
    const source = make() as ReturnType<typeof dense>
    const shape: number[] = source.inputs[0].shape.slice(1)
    const question = tf.randomUniform([1, ...shape], -1, 1, "float32", 7)
    const expected = [...(await source.predict(question).data())]
    const saved = await save(source)
    for (const device of engines) {
      await withModel(saved, device, async (model) => {
        const [instance] = await question.array()
        const [answer] = Object.values(await model.predict(instance))
        assert.ok(close([answer].flat(9), expected, 1e-4), `${device}: ${String(answer)} is not ${String(expected)}`)
      })
    }
  })
}

test("an embedding takes whole numbers of any sequence length", async () => {
  const source = tf.sequential({ layers: [tf.layers.embedding({ inputDim: 5, outputDim: 2, inputShape: [null] })] })
  await withModel(await save(source), "wasm", async (model) => {
    assert.deepEqual(model.inputs[0]?.shape, [null])
    for (const words of [[1], [1, 2, 3]]) {
      const [answer] = Object.values(await model.predict(words))
      assert.equal((answer as unknown[]).length, words.length)
    }
    await assert.rejects(model.predictBatch([[1, 2], [1]]), { code: "INPUT_INVALID" })
  })
})

test("weights may lie in shards, in a subfolder, under a Keras wrapper", async () => {
  const source = dense(3, 2)
  const { json, weights } = await save(source)
  json.weightsManifest[0].paths = ["a.bin", "b.bin", "c.bin"]
  json.modelTopology = { keras_version: "2.15.0", backend: "tensorflow", model_config: json.modelTopology }
  const files = verified(
    {
      "web/model.json": JSON.stringify(json),
      "web/a.bin": weights.subarray(0, 5), // a weight over two shards, the next one misaligned
      "web/b.bin": weights.subarray(5, 6),
      "web/c.bin": weights.subarray(6),
      "README.md": "not the loader's business",
    },
    { entrypoint: "web/model.json" },
  )
  const model = await loadVerified(files)
  const expected = await source.predict(tf.tensor2d([[1, -2]])).data()
  assert.ok(close((await model.predict([1, -2]))["out"] as number[], [...expected]))
  await model.dispose()
})

test("what training left in the file is skipped", async () => {
  const { json, weights } = await save(dense(1, 1))
  json.weightsManifest[0].weights.push({ name: "Adam/m", shape: [2], dtype: "float32", group: "optimizer" })
  const model = await loadVerified(filesOf({ json, weights: new Uint8Array([...weights, ...new Uint8Array(8)]) }))
  assert.equal(Object.keys(await model.predict([1]))[0], "out")
  await model.dispose()
})

const quantized = {
  uint8: { bytes: Uint8Array.of(0, 128, 255), scale: 0.5, min: -10, expected: [-10, 54, 117.5] },
  uint16: { bytes: new Uint8Array(Uint16Array.of(0, 1, 65535).buffer), scale: 2, min: 1, expected: [1, 3, 131071] },
  float16: { bytes: new Uint8Array(Uint16Array.of(0x3c00, 0xc000, 0x0001).buffer), expected: [1, -2, 2 ** -24] },
}

for (const [dtype, { bytes, expected, ...range }] of Object.entries(quantized)) {
  test(`quantised weights: ${dtype}`, async () => {
    const source = tf.sequential({
      layers: [tf.layers.dense({ units: 3, inputShape: [1], useBias: false, name: "out" })],
    })
    const { json } = await save(source)
    json.weightsManifest[0].weights[0].quantization = { dtype, ...range }
    const model = await loadVerified(filesOf({ json, weights: bytes }))
    assert.deepEqual((await model.predict([1]))["out"], expected)
    await model.dispose()
  })
}

test("a NaN is reported, not passed on", async () => {
  const { json } = await save(dense(1, 1))
  const model = await loadVerified(filesOf({ json, weights: new Uint8Array(Float32Array.of(NaN, 1).buffer) }))
  await assert.rejects(model.predict([1]), { code: "OUTPUT_INVALID" })
  await model.dispose()
})

test("signed numbers are taken as they are: a constraint of training does not change them", async () => {
  const source = tf.sequential({
    layers: [tf.layers.dense({ units: 1, inputShape: [1], kernelConstraint: "nonNeg", name: "out" })],
  })
  const { json } = await save(source)
  const model = await loadVerified(filesOf({ json, weights: new Uint8Array(Float32Array.of(-3, 0).buffer) }))
  assert.deepEqual(await model.predict([1]), { out: [-3] })
  await model.dispose()
})

test("verified bytes move into the engine: they can't be loaded twice, nor changed behind its back", async () => {
  const files = filesOf(await save(dense()))
  const model = await loadVerified(files)
  assert.equal(files.files.get(weightFile)?.bytes.byteLength, 0)
  await assert.rejects(loadVerified(files), { code: "USAGE" })
  await model.dispose()
})

test("disposed of while an answer is on its way: the process lives on", () => {
  const scene = `
    import { loadVerified } from "@weighlock/runtime"
    import { dense, filesOf, save } from "./support.ts"
    const saved = await save(dense())
    for (let round = 0; round < 3; round++) {
      const model = await loadVerified(filesOf(saved), { device: "js" })
      await model.predict([1, 2])
      const waiting = model.predict([1, 2]).catch(() => undefined)
      await new Promise((resolve) => setImmediate(resolve)) // it is asked
      for (const until = performance.now() + 50; performance.now() < until; );
      await model.dispose()
      await waiting
    }
    console.log("alive")`
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", scene], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  })
  assert.deepEqual([status, stdout], [0, "alive\n"], stderr)
})
