/**
 * Signed and hazardous all the same: what the loader refuses, one line a case. Each starts from a model that loads.
 */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { checkLoadable, loadVerified } from "@weighlock/runtime"
import { every } from "../support/thorough.ts"
import {
  dense,
  filesOf,
  mnistLike,
  type ModelJson,
  type SavedModel,
  save,
  tf,
  twoHeaded,
  verified,
  weightFile,
} from "./support.ts"

type Spoil = (json: ModelJson, weights: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer> | void

let tiny: SavedModel // Sequential: one Dense layer, 2 in, 3 out, 9 floats
let graph: SavedModel // Functional: inputs a and b, layer joined, outputs sum and pair

before(async () => {
  tiny = await save(dense(3, 2))
  graph = await save(twoHeaded())
})

async function refuse(saved: SavedModel, spoil: Spoil): Promise<void> {
  const json = structuredClone(saved.json)
  const weights = spoil(json, saved.weights) ?? saved.weights
  await assert.rejects(check({ json, weights }), { code: "MODEL_REFUSED" })
  if (++refusals % every(8) === 0)
    await assert.rejects(loadVerified(filesOf({ json, weights })), { code: "MODEL_REFUSED" })
}
let refusals = 0

/** As a load does before it begins an engine, which is most of its time. */
function check({ json, weights }: SavedModel): Promise<void> {
  const files = new Map<string, Uint8Array>([
    ["model.json", Buffer.from(JSON.stringify(json))],
    [weightFile, weights],
  ])
  return checkLoadable({ format: "tfjs-layers", entrypoint: "model.json", files })
}

test("what the cases start from loads", async () => {
  for (const saved of [tiny, graph]) await (await loadVerified(filesOf(saved))).dispose()
})

const group = (json: ModelJson) => json.weightsManifest[0]
const weight = (json: ModelJson) => group(json).weights[0]
const layer = (json: ModelJson, index = 0) => json.modelTopology.config.layers[index]
const quantize = (json: ModelJson, quantization: unknown, dtype = "float32") =>
  Object.assign(weight(json), { quantization, dtype })

const paths = [
  "../model.bin",
  "/etc/passwd",
  "./../" + weightFile,
  "x/./" + weightFile,
  "x/../" + weightFile,
  "http://127.0.0.1:1/w.bin",
  "https://evil.example/w.bin",
  "file:///etc/passwd",
  weightFile.toUpperCase(),
  weightFile + "\u0000",
  weightFile + "/",
  "group1-shard1of1%2ebin",
  "..\\" + weightFile,
  "model.json",
  "missing.bin",
  "",
  "__proto__",
  "constructor",
  7,
  null,
  ["a"],
  { toString: 1 },
]

for (const path of paths) {
  test(`weight path ${JSON.stringify(path)}`, () => refuse(tiny, (json) => void (group(json).paths = [path])))
}

const weightCases: Record<string, Spoil> = {
  "a file named twice": (json) => void group(json).paths.push(weightFile),
  "a file used by two groups": (json) => void json.weightsManifest.push(structuredClone(group(json))),
  "no files": (json) => void (group(json).paths = []),
  "paths that are no list": (json) => void (group(json).paths = weightFile),
  "no weights manifest": (json) => void delete json.weightsManifest,
  "an empty weights manifest": (json) => void (json.weightsManifest = []),
  "a weights manifest that is no list": (json) => void (json.weightsManifest = { 0: group(json), length: 1 }),
  "a byte short": (_, weights) => weights.slice(0, -1),
  "a byte long": (_, weights) => new Uint8Array([...weights, 0]),
  "no bytes": () => new Uint8Array(0),
  "a weight too many": (json, weights) => {
    group(json).weights.push({ name: "extra", shape: [1], dtype: "float32" })
    return new Uint8Array([...weights, 0, 0, 0, 0])
  },
  "a weight missing": (json, weights) => {
    group(json).weights.pop()
    return weights.slice(0, 24)
  },
  "a weight of another name": (json) => void (weight(json).name = "other/kernel"),
  "a weight transposed": (json) => void (weight(json).shape = [3, 2]),
  "a weight reshaped": (json) => void (weight(json).shape = [6]),
  "two weights of one name": (json) => void (group(json).weights[1].name = weight(json).name),
  "a weight in an unknown group": (json) => void (weight(json).group = "secret"),
  "all weights as optimizer state": (json) =>
    group(json).weights.forEach((one: { group: string }) => (one.group = "optimizer")),
  "uint8 that is not there": (json) => quantize(json, { dtype: "uint8", scale: 1, min: 0 }),
}

for (const name of ["", "__proto__", "constructor", "toString", 7, null, "x".repeat(600)]) {
  weightCases[`weight name ${JSON.stringify(name).slice(0, 20)}`] = (json) => void (weight(json).name = name)
}
for (const shape of [
  null,
  "2,3",
  6,
  [-2, -3],
  [2, 1.5],
  [2, "3"],
  [2, null],
  [[2, 3]],
  [2 ** 53],
  [2 ** 40, 2 ** 40],
  [2 ** 26, 2 ** 26, 0],
  Array.from({ length: 9 }, () => 1),
]) {
  weightCases[`weight shape ${JSON.stringify(shape)}`] = (json) => void (weight(json).shape = shape)
}
for (const dtype of [
  "float64",
  "float16",
  "uint8",
  "int64",
  "string",
  "complex64",
  "bool",
  "int32",
  "constructor",
  "",
  null,
  32,
  undefined,
]) {
  weightCases[`weight dtype ${JSON.stringify(dtype)}`] = (json) => void (weight(json).dtype = dtype)
}
const quantizations = [
  null,
  "uint8",
  {},
  { dtype: "uint4", scale: 1, min: 0 },
  { dtype: "int8", scale: 1, min: 0 },
  { dtype: "constructor", scale: 1, min: 0 },
  { dtype: "uint8", scale: "NaN", min: 0 },
  { dtype: "uint8", scale: 1, min: "Infinity" },
  { dtype: "uint8", scale: null, min: 0 },
  { dtype: "uint8", min: 0 },
  { dtype: "uint8", scale: 1 },
  { dtype: "uint8", scale: 1e38, min: 0 },
  { dtype: "uint16", scale: 1, min: -1e39 },
  { dtype: "uint8", scale: [1], min: 0 },
]
for (const quantization of quantizations) {
  weightCases[`quantization ${JSON.stringify(quantization)}`] = (json, weights) => {
    quantize(json, quantization)
    return weights.slice(24 - 6) // six codes of a byte in place of six floats
  }
}
weightCases["quantization float16 of int32"] = (json, weights) => {
  quantize(json, { dtype: "float16" }, "int32")
  return weights.slice(12)
}

for (const [name, spoil] of Object.entries(weightCases)) test(name, () => refuse(tiny, spoil))

const topologyCases: Record<string, Spoil> = {
  "a Lambda layer": (json) => void (layer(json).class_name = "Lambda"),
  "a custom layer": (json) => void (layer(json).class_name = "Custom>Dense"),
  "a class every object has": (json) => void (layer(json).class_name = "toString"),
  "a class named __proto__": (json) => void (layer(json).class_name = "__proto__"),
  "a class that is no text": (json) => void (layer(json).class_name = ["Dense"]),
  "an optimizer for a layer": (json) => void (layer(json).class_name = "Adam"),
  "an initializer for a layer": (json) => void (layer(json).class_name = "Zeros"),
  "className in the library's own spelling": (json) => void (layer(json).className = "Lambda"),
  class__name: (json) => void (layer(json).class__name = "Lambda"),
  class_name_: (json) => void (layer(json).class_name_ = "Lambda"),
  "a layer as the whole model": (json) => void (json.modelTopology = layer(json)),
  "activation toString": (json) => void (layer(json).config.activation = "toString"),
  "activation eval": (json) => void (layer(json).config.activation = "eval"),
  "no topology": (json) => void delete json.modelTopology,
  "a topology that is text": (json) => void (json.modelTopology = JSON.stringify(json.modelTopology)),
  "no layers": (json) => void (json.modelTopology.config.layers = []),
  "layers that are no list": (json) => void (json.modelTopology.config.layers = {}),
  "a layer that is null": (json) => void (json.modelTopology.config.layers = [null]),
  "too many layers": (json) =>
    void (json.modelTopology.config.layers = Array.from({ length: 10_001 }, () => layer(json))),
  "no input shape": (json) => void delete layer(json).config.batch_input_shape,
  "a negative input": (json) => void (layer(json).config.batch_input_shape = [null, -2]),
  "an input of text": (json) => void (layer(json).config.batch_input_shape = [null, "2"]),
  "an input type of text": (json) => void (layer(json).config.dtype = "string"),
  "a stateful layer": (json) => void (layer(json).config.stateful = true),
  "units 1e9: 24 GB before any weight is compared": (json) => void (layer(json).config.units = 1e9),
  "units 4": (json) => void (layer(json).config.units = 4),
  "units -1": (json) => void (layer(json).config.units = -1),
  "units 1.5": (json) => void (layer(json).config.units = 1.5),
  "units of text": (json) => void (layer(json).config.units = "3"),
  "a graph model": (json) => void (json.format = "graph-model"),
  "a format that is no text": (json) => void (json.format = {}),
}

/** Weightless layers that turn little into much. */
const bombs: Record<string, object> = {
  RepeatVector: { n: 1e9 },
  UpSampling2D: { size: [1e5, 1e5], batch_input_shape: [null, 2, 2, 1] },
  ZeroPadding2D: {
    padding: [
      [1e5, 1e5],
      [1e5, 1e5],
    ],
    batch_input_shape: [null, 2, 2, 1],
  },
  Reshape: { target_shape: [1e9, 1e9] },
  CategoryEncoding: { num_tokens: 1e12, output_mode: "multi_hot" },
  Resizing: { height: 1e6, width: 1e6, batch_input_shape: [null, 2, 2, 1] },
  Cropping2D: {
    cropping: [
      [9, 9],
      [9, 9],
    ],
    batch_input_shape: [null, 2, 2, 1],
  },
}
for (const [class_name, config] of Object.entries(bombs)) {
  topologyCases[`${class_name} ${JSON.stringify(config)}`] = (json) => {
    json.modelTopology.config.layers = [
      { class_name, config: { name: "bomb", batch_input_shape: [null, 2], ...config } },
    ]
    json.weightsManifest = []
  }
}

for (const [name, spoil] of Object.entries(topologyCases)) test(name, () => refuse(tiny, spoil))

const call = (json: ModelJson, index: number) => layer(json, index).inbound_nodes[0]

const graphCases: Record<string, Spoil> = {
  "a layer that waits for itself": (json) => void (call(json, 2)[0][0] = "joined"),
  "a circle of layers": (json) => void (call(json, 2)[0][0] = "sum"),
  "a layer that is not there": (json) => void (call(json, 2)[0][0] = "nobody"),
  "a node that is not there": (json) => void (call(json, 2)[0][1] = 1),
  "a tensor that is not there": (json) => void (call(json, 2)[0][2] = 9),
  "a negative node": (json) => void (call(json, 2)[0][1] = -1),
  "a node of text": (json) => void (call(json, 2)[0][1] = "0"),
  "Keras 3 calls": (json) => void (layer(json, 2).inbound_nodes = [{ args: [], kwargs: {} }]),
  "calls that are no list": (json) => void (layer(json, 2).inbound_nodes = "joined"),
  "two layers of one name": (json) => void Object.assign(layer(json, 1), structuredClone(layer(json, 0))),
  "a layer with two names": (json) => void (layer(json, 2).config.name = "other"),
  "a layer named __proto__": (json) => void (layer(json, 2).name = layer(json, 2).config.name = "__proto__"),
  "an output that is not there": (json) => void (json.modelTopology.config.output_layers[0][0] = "nobody"),
  "no outputs": (json) => void (json.modelTopology.config.output_layers = []),
  "no inputs": (json) => void (json.modelTopology.config.input_layers = []),
  "an input that is left open": (json) => void json.modelTopology.config.input_layers.pop(),
}

for (const [name, spoil] of Object.entries(graphCases)) test(name, () => refuse(graph, spoil))

const modelTexts: Record<string, (text: string) => string | Uint8Array> = {
  "an empty file": () => "",
  "no JSON": () => "pickle",
  "a list": (text) => `[${text}]`,
  "trailing bytes": (text) => text + "x",
  "two byte order marks": (text) => "\ufeff\ufeff" + text,
  "invalid UTF-8": (text) => new Uint8Array([...Buffer.from(text), 0xff]),
  "duplicate keys": (text) => text.replace("{", '{"format":"layers-model",'),
  "NaN for a number": (text) => text.replace('"units":3', '"units":NaN'),
  "a number beyond any double": (text) => text.replace('"units":3', '"units":1e999'),
  "an integer no double holds": (text) => text.replace('"units":3', '"units":9007199254740993'),
  "depth without end": (text) => text.replace("{", `{"deep":${"[".repeat(100_000)}${"]".repeat(100_000)},`),
  "17 MiB of spaces": (text) => text + " ".repeat(17 * 2 ** 20),
  "a key named __proto__": (text) => text.replace('"units":3', '"units":3,"__proto__":{"units":4}'),
}

for (const [name, spoil] of Object.entries(modelTexts)) {
  test(`model.json: ${name}`, async () => {
    const files = verified({ "model.json": spoil(JSON.stringify(tiny.json)), [weightFile]: tiny.weights })
    await assert.rejects(loadVerified(files), { code: "MODEL_REFUSED" })
  })
}

for (const manifest of [
  { entrypoint: undefined },
  { entrypoint: "other.json" },
  { entrypoint: weightFile },
  { entrypoint: "__proto__" },
]) {
  test(`entrypoint ${manifest.entrypoint}`, async () => {
    const files = verified({ "model.json": JSON.stringify(tiny.json), [weightFile]: tiny.weights }, manifest)
    await assert.rejects(loadVerified(files), { code: "MODEL_REFUSED" })
  })
}

for (const format of ["tfjs-graph", "keras-h5", "keras-v3", "safetensors", "onnx", "saved-model", "other"]) {
  test(`format ${format} is not loaded by this version`, async () => {
    await assert.rejects(loadVerified(verified({ x: "x" }, { format })), { code: "MODEL_REFUSED" })
  })
}

test("every layer that the library has is known", async () => {
  const map = tf.serialization.SerializationMap.getMap().classNameMap as Record<string, [{ prototype: object }]>
  const registered = Object.keys(map).filter((name) => map[name]?.[0].prototype instanceof tf.layers.Layer)
  assert.ok(registered.length > 60)
  const json = structuredClone(tiny.json)
  json.modelTopology.config.layers.push(...registered.map((class_name) => ({ class_name, config: {} })))
  await assert.rejects(
    loadVerified(filesOf({ ...tiny, json })),
    (error: Error) => !error.message.includes("is not known"),
  )
})

test("a refusal costs neither time nor memory", async () => {
  const json = structuredClone((await save(mnistLike())).json)
  layer(json, 5).config.units = 1e9
  const [before, used] = [process.memoryUsage.rss(), process.cpuUsage()]
  await assert.rejects(loadVerified(filesOf({ json, weights: new Uint8Array(0) })), { code: "MODEL_REFUSED" })
  assert.ok(process.cpuUsage(used).user < 5_000_000)
  assert.ok(process.memoryUsage.rss() - before < 256 * 2 ** 20)
})
