/** The shapes in which models really come: nested, shared, by Keras 3, by a browser. Each answers as the library does. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and JSON of many forms has none */
import assert from "node:assert/strict"
import { test } from "node:test"
import { loadVerified, type Model } from "@weighlock/runtime"
import { close, filesOf, type ModelJson, type SavedModel, save, tf, verified, weightFile } from "./support.ts"
import { sample } from "../support/thorough.ts"

type Any = any
const { layers } = tf

const dense = (units: number, options: object = {}): Any =>
  layers.dense({ units, activation: "tanh", biasInitializer: "randomNormal", ...options })
const sequence = (...list: Any[]): Any => tf.sequential({ layers: list })

async function withModel(files: ReturnType<typeof filesOf>, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await loadVerified(files)
  try {
    await use(model)
  } finally {
    await model.dispose()
  }
}

/** One question to both; the model has been saved, changed into another form of the same, and loaded. */
async function answersAs(source: Any, saved: SavedModel): Promise<void> {
  const tensors = source.inputs.map(({ shape }: Any, at: number) =>
    tf.randomUniform([1, ...shape.slice(1)], -1, 1, "float32", at + 1),
  )
  const expected: number[] = [source.predict(tensors.length === 1 ? tensors[0] : tensors)]
    .flat()
    .flatMap((answer: Any) => [...answer.dataSync()])
  await withModel(filesOf(saved), async (model) => {
    const rows = tensors.map((tensor: Any) => tensor.arraySync()[0])
    const named = Object.fromEntries(model.inputs.map(({ name }, at) => [name, rows[at]]))
    const answer = await model.predict(named)
    assert.ok(close(Object.values(answer).flat(9), expected), `${JSON.stringify(answer)} is not ${String(expected)}`)
  })
}

const networks: Record<string, () => Any> = {
  "a sequential in a sequential": () => sequence(sequence(dense(2, { inputShape: [3] }))),
  "three of them, one layer each": () => sequence(sequence(sequence(dense(2, { inputShape: [3] })))),
  "one after the other": () =>
    sequence(sequence(dense(2, { inputShape: [3] })), sequence(dense(4, { inputShape: [2] }))),
  "a functional model with a sequential": () => {
    const input = tf.input({ shape: [2] })
    return tf.model({ inputs: input, outputs: dense(1).apply(sequence(dense(3, { inputShape: [2] })).apply(input)) })
  },
  "siamese: a sequential that is called twice": () => {
    const [left, right] = [tf.input({ shape: [2] }), tf.input({ shape: [2] })]
    const tower = sequence(dense(3, { inputShape: [2] }), dense(2))
    return tf.model({
      inputs: [left, right],
      outputs:
        layers.subtract?.().apply([tower.apply(left), tower.apply(right)]) ??
        layers.add().apply([tower.apply(left), tower.apply(right)]),
    })
  },
  "an autoencoder of two models": () => {
    const picture = tf.input({ shape: [4] })
    const encoder = tf.model({ inputs: picture, outputs: dense(2).apply(picture) })
    const code = tf.input({ shape: [2] })
    const decoder = tf.model({ inputs: code, outputs: dense(4).apply(code) })
    const input = tf.input({ shape: [4] })
    return tf.model({ inputs: input, outputs: decoder.apply(encoder.apply(input)) })
  },
  "a model in a model in a model": () => {
    const first = tf.input({ shape: [2] })
    const inner = tf.model({ inputs: first, outputs: dense(2).apply(first) })
    const second = tf.input({ shape: [2] })
    const middle = tf.model({ inputs: second, outputs: inner.apply(inner.apply(second)) })
    const third = tf.input({ shape: [2] })
    return tf.model({ inputs: third, outputs: middle.apply(third) })
  },
  "a layer that is called on its own answer": () => {
    const input = tf.input({ shape: [2] })
    const shared = dense(2)
    return tf.model({ inputs: input, outputs: shared.apply(dense(2).apply(shared.apply(input))) })
  },
}

for (const [name, make] of sample(Object.entries(networks), 2)) {
  test(`loads and answers: ${name}`, async () => {
    const source = make()
    await answersAs(source, await save(source))
  })
}

const functional = (): Any => {
  const [a, b] = [tf.input({ shape: [2], name: "a" }), tf.input({ shape: [3], name: "b" })]
  const joined = layers.concatenate({ name: "joined" }).apply([a, b])
  const tower = sequence(dense(2, { inputShape: [5], name: "inner" }))
  return tf.model({ inputs: [a, b], outputs: dense(1, { name: "out" }).apply(tower.apply(joined)), name: "whole" })
}

const changed = (saved: SavedModel, change: (json: ModelJson) => void): SavedModel => {
  const json = structuredClone(saved.json)
  change(json)
  return { ...saved, json }
}

test("an input and an output need not stand in lists of their own", async () => {
  const input = tf.input({ shape: [2], name: "a" })
  const source = tf.model({ inputs: input, outputs: dense(1, { name: "out" }).apply(input) })
  const flat = changed(await save(source), ({ modelTopology: { config } }) => {
    config.input_layers = config.input_layers.flat()
    config.output_layers = config.output_layers.flat()
    config.layers[1].inbound_nodes = [config.layers[1].inbound_nodes[0][0]]
  })
  await answersAs(source, flat)
})

test("an output that is named twice is answered twice", async () => {
  const source = functional()
  const twice = changed(await save(source), ({ modelTopology: { config } }) => {
    config.output_layers = [config.output_layers[0], ["joined", 0, 0], config.output_layers[0]]
  })
  await withModel(filesOf(twice), async (model) => {
    assert.deepEqual(
      model.outputs.map(({ name, shape }) => [name, shape]),
      [
        ["out", [1]],
        ["joined", [5]],
        ["out_1", [1]],
      ],
    )
    const answer = await model.predict({ a: [1, 2], b: [3, 4, 5] })
    assert.deepEqual(answer["joined"], [1, 2, 3, 4, 5])
    assert.deepEqual(answer["out"], answer["out_1"])
  })
})

test("layers may be listed in any order", async () => {
  const source = functional()
  await answersAs(
    source,
    changed(await save(source), ({ modelTopology: { config } }) => void config.layers.reverse()),
  )
})

test("what a browser saves, and what an editor makes of it", async () => {
  const source = sequence(dense(2, { inputShape: [3] }))
  const { json, weights } = await save(source)
  delete json.format
  json.weightsManifest[0].paths = ["./my-model.weights.bin"]
  const text = `\ufeff${JSON.stringify(json)}`
  for (const folder of ["", "tf/"]) {
    const files = { [`${folder}my-model.json`]: text, [`${folder}my-model.weights.bin`]: weights }
    await withModel(verified(files, { entrypoint: `${folder}my-model.json` }), async (model) => {
      assert.equal(Object.values(await model.predict([1, 2, 3])).flat().length, 2)
    })
  }
})

/** A Keras 3 object: where it comes from stands beside what it is. */
const object = (module: string, class_name: string, config: object): object => ({
  module,
  class_name,
  config,
  registered_name: null,
})

/** As Keras 3 writes what tfjs-layers wrote as Keras 2: policies, shapes, calls with arguments, prefixed weights. */
function asKeras3(saved: SavedModel, prefix: string): SavedModel {
  return changed(saved, (json) => {
    json.modelTopology = { keras_version: "3.6.0", backend: "tensorflow", model_config: keras3(json.modelTopology) }
    for (const weight of json.weightsManifest[0].weights) weight.name = `${prefix}/${weight.name}`
  })
}

function keras3({ class_name, config, name, inbound_nodes }: Any, containers: readonly string[] = []): Any {
  const known = [
    ...containers,
    ...(config.layers ?? []).filter(({ config }: Any) => config.layers).map(({ name }: Any) => name),
  ]
  const made: Any = object("keras.layers", class_name, {
    ...config,
    dtype: object("keras", "DTypePolicy", { name: "float32" }),
    ...(config.kernel_initializer && { kernel_initializer: object("keras.initializers", "OrthogonalInitializer", {}) }),
    ...(config.kernel_initializer && { kernel_regularizer: object("keras.regularizers", "L2", { l2: 0.1 }) }),
    ...(config.batch_input_shape && { batch_shape: config.batch_input_shape }),
    ...(config.layers && { layers: config.layers.map((layer: Any) => keras3(layer, known)) }),
  })
  if (class_name === "InputLayer") delete made.config.batch_input_shape
  if (config.input_layers) {
    const ends = (list: Any[]): Any[] => list.map(([layer, node, tensor]) => history([layer, node, tensor], known))
    Object.assign(made.config, { input_layers: ends(config.input_layers), output_layers: ends(config.output_layers) })
  }
  if (!inbound_nodes) return made
  const calls = inbound_nodes.map((call: Any[]) => {
    const tensors = call.map((from) => ({
      class_name: "__keras_tensor__",
      config: { shape: [null, 2], dtype: "float32", keras_history: history(from.slice(0, 3), containers) },
    }))
    return { args: tensors.length === 1 ? tensors : [tensors], kwargs: { mask: null } }
  })
  return { ...made, name, build_config: { input_shape: [null, 2] }, inbound_nodes: calls }
}

// Keras 3 does not count the making of a model as its first call.
function history([layer, node, tensor]: Any[], containers: readonly string[]): Any[] {
  return [layer, containers.includes(layer) ? node - 1 : node, tensor]
}

test("Keras 3: a sequential", async () => {
  const source = sequence(dense(4, { inputShape: [3], name: "hidden" }), dense(2, { name: "out" }))
  await answersAs(source, asKeras3(await save(source), "sequential"))
})

test("Keras 3: a functional model with a model inside", async () => {
  const source = functional()
  await answersAs(source, asKeras3(await save(source), "functional"))
})

test("Keras 3: weights by number, as a .keras file has them", async () => {
  const source = sequence(dense(4, { inputShape: [3], name: "hidden" }), layers.batchNormalization({ name: "norm" }))
  const saved = changed(await save(source), (json) => {
    json.weightsManifest[0].weights.forEach((weight: Any) => {
      const [layer, variable] = weight.name.split("/")
      weight.name = `${layer}/${["kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance"].indexOf(variable) % (layer === "hidden" ? 9 : 2 ** 8)}`
      if (layer === "norm") weight.name = `${layer}/${Number(weight.name.split("/")[1]) - 2}`
    })
  })
  await answersAs(source, saved)
})

test("Keras 3: what it names otherwise, or leaves to a default", async () => {
  const source = sequence(
    layers.leakyReLU({ alpha: 0.2, inputShape: [2, 3], name: "leaky" }),
    layers.softmax({ axis: -1, name: "soft" }),
  )
  const keras3 = asKeras3(await save(source), "sequential")
  const [leaky, soft] = keras3.json.modelTopology.model_config.config.layers
  leaky.config.negative_slope = leaky.config.alpha
  delete leaky.config.alpha
  delete soft.config.axis
  await answersAs(source, keras3)
})

test("Keras 3: its hard sigmoid is another", async () => {
  const saved = await save(sequence(dense(2, { inputShape: [3], activation: "hardSigmoid" })))
  await (await loadVerified(filesOf(saved))).dispose()
  for (const spelling of ["hard_sigmoid", "hardSigmoid"]) {
    saved.json.modelTopology.config.layers[0].config.activation = spelling
    await assert.rejects(loadVerified(filesOf(asKeras3(saved, "sequential"))), { code: "MODEL_REFUSED" })
  }
})

test("a recurrent layer that names no recurrent activation has Keras's, which is not the library's", async () => {
  for (const make of [layers.lstm, layers.gru]) {
    const options = {
      units: 2,
      inputShape: [3, 2],
      recurrentActivation: "sigmoid",
      recurrentInitializer: "glorotUniform",
    }
    const source = sequence(make(options as Any))
    const saved = await save(source)
    delete saved.json.modelTopology.config.layers[0].config.recurrent_activation
    await answersAs(source, saved)
  }
})

test("mixed precision by name: everything is computed in full precision", async () => {
  const source = sequence(dense(2, { inputShape: [3] }))
  const saved = await save(source)
  saved.json.modelTopology.config.layers[0].config.dtype = "mixed_float16"
  await answersAs(source, saved)
})

const notOurs: Record<string, (json: ModelJson) => void> = {
  "a class of another module": (json) =>
    Object.assign(json.modelTopology.config.layers[0], { module: "my_package.layers" }),
  "a class registered under another name": (json) =>
    Object.assign(json.modelTopology.config.layers[0], { registered_name: "mine>Dense" }),
  "a function of somebody's own": (json) =>
    (json.modelTopology.config.layers[0].config.activation = object(
      "builtins",
      "function",
      "evil" as unknown as object,
    )),
  "a call as in training": (json) => {
    json.modelTopology.config.layers.push({
      class_name: "Dropout",
      config: { name: "d", rate: 0.5, call: { training: true } },
    })
  },
}

for (const [name, change] of sample(Object.entries(notOurs), 2)) {
  test(`refused: ${name}`, async () => {
    const saved = changed(await save(sequence(dense(2, { inputShape: [3] }))), change)
    await assert.rejects(loadVerified(filesOf(saved)), { code: "MODEL_REFUSED" })
  })
}

/** `count` layers in a row without weights, the last first. */
async function longChain(count: number): Promise<SavedModel> {
  const input = tf.input({ shape: [2], name: "x" })
  const saved = await save(
    tf.model({ inputs: input, outputs: layers.activation({ activation: "relu", name: "l0" }).apply(input) }),
  )
  return changed(saved, ({ modelTopology: { config } }) => {
    const [first, one] = config.layers
    const chain = Array.from({ length: count }, (_, at) => {
      const layer = structuredClone(one)
      layer.name = layer.config.name = `l${at}`
      layer.inbound_nodes = [[[at === 0 ? "x" : `l${at - 1}`, 0, 0, {}]]]
      return layer
    })
    config.layers = [first, ...chain].reverse()
    config.output_layers = [[`l${count - 1}`, 0, 0]]
  })
}

test("2,000 layers that are listed backwards load", { timeout: 600_000 }, async () => {
  await withModel(filesOf(await longChain(2_000)), async (model) => {
    assert.deepEqual(Object.values(await model.predict([-1, 3])), [[0, 3]])
  })
})

test("the library's own words reach nobody", async () => {
  const source = sequence(dense(2, { inputShape: [3], name: "out" }))
  const faults: ((json: ModelJson) => void)[] = [
    ({ modelTopology: { config } }) => void (config.layers[0].config.units = "many"),
    ({ modelTopology: { config } }) => void delete config.layers[0].config.units,
    ({ modelTopology: { config } }) => void (config.layers[0].config.batch_input_shape = "wide"),
    ({ modelTopology: { config } }) => void (config.layers[0] = { class_name: "Conv2D", config: { name: "out" } }),
    ({ modelTopology: { config } }) => void (config.layers[0].config = null),
    ({ weightsManifest: [group] }) => void (group.weights[0].name = "out/filter"),
    ({ weightsManifest: [group] }) => void (group.weights[0].shape = [2, 3]),
  ]
  for (const fault of sample(faults, 4)) {
    const loading = loadVerified(filesOf(changed(await save(source), fault)))
    await assert.rejects(loading, (error: Error & { code: string }) => {
      assert.equal(error.code, "MODEL_REFUSED")
      assert.doesNotMatch(
        error.message,
        /undefined|null|Cannot read|not iterable|Provided weight|Error:|is not a function/,
      )
      return true
    })
  }
  assert.ok(weightFile)
})
