/** What Keras 2, tf-keras and Keras 3 write in forms of their own; each answers as the same network built by the library. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and JSON of many forms has none */
import assert from "node:assert/strict"
import { test } from "node:test"
import { checkLoadable, loadVerified, type Model } from "@weighlock/runtime"
import { close, filesOf, type SavedModel, save, tf, weightFile } from "./support.ts"

type Any = any
const { layers } = tf

async function answerOf(saved: SavedModel, question: Any, device = "js"): Promise<Any> {
  const model: Model = await loadVerified(filesOf(saved), { device })
  try {
    return await model.predict(question)
  } finally {
    await model.dispose()
  }
}

const layersOf = (saved: SavedModel): Any[] => saved.json.modelTopology.config.layers
const called = (saved: SavedModel): SavedModel => ({ ...saved, json: structuredClone(saved.json) })
const refusal = (saved: SavedModel): Promise<void> => assert.rejects(check(saved), { code: "MODEL_REFUSED" })

function check({ json, weights }: SavedModel): Promise<void> {
  const files = new Map<string, Uint8Array>([
    ["model.json", Buffer.from(JSON.stringify(json))],
    [weightFile, weights],
  ])
  return checkLoadable({ format: "tfjs-layers", entrypoint: "model.json", files })
}

test("each of several outputs of one layer has a name of its own, also beside a layer of that name", async () => {
  const input = tf.input({ shape: [3, 2], name: "x" })
  const state = { units: 2, returnState: true, recurrentInitializer: "glorotNormal" }
  const first = layers.lstm({ ...state, name: "lstm" }).apply(input)
  const second = layers.lstm({ ...state, name: "lstm_1" }).apply(input)
  const outputs = [first[0], first[1], second[0], second[1]]
  const network = tf.model({ inputs: input, outputs })
  const x = [
    [1, -1],
    [0.5, 2],
    [-1, 0],
  ]
  const expected = network.predict(tf.tensor([x])).map((tensor: Any) => [...tensor.dataSync()])
  const answer = await answerOf(await save(network), x)
  assert.deepEqual(Object.keys(answer), ["lstm", "lstm_2", "lstm_1", "lstm_1_1"])
  for (const [at, value] of Object.values(answer).entries()) assert.ok(close(value as number[], expected[at]))
})

for (const device of ["js", "wasm"])
  test(`${device}: whole numbers beside fractions become fractions, as with Keras`, async () => {
    const [age, rest] = [tf.input({ shape: [2], name: "age" }), tf.input({ shape: [2], name: "rest" })]
    const joined = layers.concatenate().apply([age, rest])
    const network = tf.model({ inputs: [age, rest], outputs: layers.dense({ units: 2, name: "y" }).apply(joined) })
    const question = { age: [1, 7], rest: [0.5, -1.25] }
    const expected = [...network.predict([tf.tensor([question.age]), tf.tensor([question.rest])]).dataSync()]
    const saved = await save(network)
    layersOf(saved).find(({ name }) => name === "age").config.dtype = "int32"
    assert.ok(close((await answerOf(saved, question, device))["y"], expected))
  })

test("whole numbers that Keras treats otherwise, and truth values, are refused", async () => {
  const odd: Record<string, [dtype: string, layer: Any]> = {
    "a mean of whole numbers": ["int32", layers.globalAveragePooling1d()],
    "layer normalization of whole numbers": ["int32", layers.layerNormalization()],
    "a dense layer of truth values": ["bool", layers.dense({ units: 1 })],
  }
  for (const [what, [dtype, layer]] of Object.entries(odd)) {
    const input = tf.input({ shape: [3, 2], name: "x" })
    const saved = await save(tf.model({ inputs: input, outputs: layer.apply(input) }))
    await check(saved)
    layersOf(saved).find(({ name }) => name === "x").config.dtype = dtype
    await assert.rejects(
      check(saved),
      { code: "MODEL_REFUSED", message: /input x is (?:int32|bool) and goes into/ },
      what,
    )
  }
})

test("whole numbers are followed through Concatenate, and not out of a model within the model", async () => {
  const [a, b] = [tf.input({ shape: [3, 2], name: "a" }), tf.input({ shape: [3, 2], name: "b" })]
  const inner = tf.input({ shape: [3, 2], name: "inner" })
  const flat = tf.model({ inputs: inner, outputs: layers.flatten().apply(inner), name: "flat" })
  const odd: Record<string, Any> = {
    "the mean of two of them": tf.model({
      inputs: [a, b],
      outputs: layers.globalAveragePooling1d().apply(layers.concatenate().apply([a, b])),
    }),
    "a model that hands them on": tf.model({ inputs: a, outputs: layers.layerNormalization().apply(flat.apply(a)) }),
  }
  for (const [what, network] of Object.entries(odd)) {
    const saved = called(await save(network))
    await check(saved)
    for (const { class_name, config } of layersOf(saved)) if (class_name === "InputLayer") config.dtype = "int32"
    await assert.rejects(check(saved), { code: "MODEL_REFUSED", message: /is int32 and goes into/ }, what)
  }
})

const tensor = (...history: [string, number, number]): Any => ({
  class_name: "__keras_tensor__",
  config: { shape: [null, 2], dtype: "float32", keras_history: history },
})
const call = (...history: [string, number, number]): Any => ({ args: [tensor(...history)], kwargs: { mask: [null] } })
const inputLayer = (name: string): Any => ({
  class_name: "InputLayer",
  name,
  config: { name, batch_shape: [null, 2], dtype: "float32" },
  inbound_nodes: [],
})

test("Keras 3: the outputs of a model that is called twice are those of the calls that are named", async () => {
  const dense = { class_name: "Dense", name: "code", config: { name: "code", units: 1, use_bias: false } }
  const encoder = {
    class_name: "Functional",
    name: "enc",
    config: {
      name: "enc",
      layers: [inputLayer("x"), { ...dense, inbound_nodes: [call("x", 0, 0)] }],
      input_layers: ["x", 0, 0],
      output_layers: ["code", 0, 0],
    },
    // As Keras 3 numbers them: from 0 where it is called, from 1 among the outputs of the model.
    inbound_nodes: [call("a", 0, 0), call("b", 0, 0)],
  }
  const add = {
    class_name: "Add",
    name: "sum",
    config: { name: "sum" },
    inbound_nodes: [{ args: [[tensor("enc", 0, 0), tensor("enc", 1, 0)]], kwargs: {} }],
  }
  const config = {
    name: "twins",
    layers: [inputLayer("a"), inputLayer("b"), encoder, add],
    input_layers: [
      ["a", 0, 0],
      ["b", 0, 0],
    ],
    output_layers: [
      ["enc", 1, 0],
      ["enc", 2, 0],
      ["sum", 0, 0],
    ],
  }
  const saved: SavedModel = {
    json: {
      format: "layers-model",
      modelTopology: { class_name: "Functional", config, keras_version: "3.15.1", backend: "tensorflow" },
      weightsManifest: [{ paths: [weightFile], weights: [{ name: "code/kernel", shape: [2, 1], dtype: "float32" }] }],
    },
    weights: new Uint8Array(new Float32Array([1, 10]).buffer),
  }
  assert.deepEqual(Object.values(await answerOf(saved, { a: [1, 2], b: [3, 4] })), [[21], [43], [64]])
})

test("Keras 3: silu is swish, a depthwise kernel has another name, a class of tf-keras is Keras's own", async () => {
  const network = tf.sequential({
    layers: [
      layers.depthwiseConv2d({ kernelSize: 2, inputShape: [3, 3, 1], name: "dw", activation: "swish" }),
      layers.flatten(),
    ],
  })
  const x = Array.from({ length: 9 }, (_, at) => at / 4 - 1)
  const question = [0, 3, 6].map((row) => x.slice(row, row + 3).map((value) => [value]))
  const expected = [...network.predict(tf.tensor([question])).dataSync()]
  const saved = called(await save(network))
  const [dw] = layersOf(saved)
  dw.config.activation = "silu"
  dw.module = "tf_keras.src.layers.convolutional.depthwise_conv2d"
  dw.registered_name = "DepthwiseConv2D"
  for (const weight of saved.json.weightsManifest[0].weights)
    weight.name = `sequential/${weight.name.replace("depthwise_kernel", "kernel")}`
  const [answer] = Object.values<number[]>(await answerOf(saved, question))
  assert.ok(close(answer ?? [], expected), `${String(answer)} is not ${String(expected)}`)
})

test("Keras 3: a Bidirectional that spells its mirror out; one that is no mirror is refused", async () => {
  const layer = layers.lstm({ units: 2, returnSequences: true, name: "lstm", recurrentInitializer: "glorotNormal" })
  const network = tf.sequential({ layers: [layers.bidirectional({ layer, inputShape: [3, 2], name: "both" })] })
  const x = [
    [1, -1],
    [0.5, 2],
    [-1, 0],
  ]
  const expected = [...network.predict(tf.tensor([x])).dataSync()]
  const saved = called(await save(network))
  const [{ config }] = layersOf(saved)
  const forth = config.layer.config
  const [plain, turned] = ["forward_lstm", "backward_lstm"].map((name) => ({
    ...forth,
    name,
    zero_output_for_mask: true,
  }))
  config.layer = { ...config.layer, config: plain }
  config.backward_layer = { ...config.layer, config: { ...turned, go_backwards: true } }
  const [answer] = Object.values<Any>(await answerOf(saved, x))
  assert.ok(close(answer.flat(9), expected))
  const other = called(saved)
  layersOf(other)[0].config.backward_layer.config.units = 3
  await refusal(other)
})

test("a call without inputs ends nothing: refused at once", async () => {
  const input = tf.input({ shape: [2], name: "x" })
  const saved = called(await save(tf.model({ inputs: input, outputs: layers.reLU({ name: "r" }).apply(input) })))
  layersOf(saved)[1].inbound_nodes = [[]]
  await assert.rejects(check(saved), { code: "MODEL_REFUSED", message: /layer r is called without an input/ })
})

test("what no engine here answers right is refused before it is signed", async () => {
  const narrow = layers.conv3d({ filters: 1, kernelSize: 1, strides: 2, padding: "same", inputShape: [4, 4, 4, 1] })
  await assert.rejects(check(await save(tf.sequential({ layers: [narrow] }))), {
    code: "MODEL_REFUSED",
    message: /no engine but a GPU's may answer right/,
  })
})
