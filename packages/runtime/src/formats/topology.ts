/**
 * The topology of a tfjs-layers model (Keras 2 JSON), checked before the library builds anything from it.
 *
 *     { "class_name": "Sequential", "config": { "name": "mnist", "layers": [
 *       { "class_name": "Dense", "config": { "name": "prob", "units": 10, "activation": "softmax",
 *         "batch_input_shape": [null, 784] } }] }, "keras_version": "tfjs-layers 4.22.0", "backend": "tensor_flow.js" }
 *
 * The library trusts this text: it looks classes up by any name, turns `class__name` into `className`, and waits for ever
 * for a layer that never comes. So: known classes only, one spelling of keys, a graph that can be built.
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"
import { asArray, asObject } from "./json-fields.ts"
import { normaliseGraph } from "./keras-graph.ts"
import { normaliseObjects } from "./keras-objects.ts"
import { containerClasses, knownActivations, knownClasses } from "./layer-classes.ts"
import { orderLayers } from "./layer-order.ts"
import { dropRedundant } from "./recurrent.ts"
import { requireComputable } from "./layer-settings.ts"

const maxLayers = 10_000
// With a capital, or with underscores at the end or in a row, a key could become another when the library converts it.
const plainKey = /^[a-z0-9]+(_[a-z0-9]+)*$/

/** A topology that the library can build, and which of its outputs each answer is. */
export interface Topology {
  readonly model: JsonObject
  /** Positions among the model's outputs: an output that is named twice is computed once. */
  readonly outputs: readonly number[] | null
}

/** Unwraps a Keras `model_config`. Throws MODEL_REFUSED. */
export function openTopology(value: JsonValue | undefined): Topology {
  const outer = asObject(value, "modelTopology")
  const inner = outer["model_config"] === undefined ? outer : asObject(outer["model_config"], "model_config")
  if (!isContainer(inner)) {
    const found =
      inner["class_name"] === undefined ? "has no class_name" : `is a ${JSON.stringify(inner["class_name"])}`
    throw refused(`the topology ${found}, and must be one of ${containerClasses.join(", ")}`)
  }
  const version = outer["keras_version"]
  if (typeof version === "string" && version.startsWith("3.")) requireSameActivations(inner)
  const model = asObject(normaliseObjects(inner), "the topology")
  dropRedundant(model)
  settleContainers(model)
  checkValue(model, "")
  return { model, outputs: takeRepeatedOutputs(model) }
}

// The library knows the one of Keras 2, 0.2·x + 0.5; that of Keras 3 is x/6 + 0.5.
function requireSameActivations(value: JsonValue): void {
  if (typeof value !== "object" || value === null) return
  for (const item of Object.values(value)) {
    if (item === "hard_sigmoid" || item === "hardSigmoid")
      throw refused("hard_sigmoid of Keras 3 is not the one that tfjs-layers computes")
    requireSameActivations(item)
  }
}

// The library answers only one of two equal outputs.
function takeRepeatedOutputs({ class_name: name, config }: JsonObject): number[] | null {
  if (name === "Sequential") return null
  const fields = asObject(config, "a model's config")
  const outputs = asArray(fields["output_layers"], "output_layers", maxLayers)
  const distinct = new Map(outputs.map((output) => [JSON.stringify(output), output]))
  fields["output_layers"] = [...distinct.values()]
  const positions = new Map([...distinct.keys()].map((key, index) => [key, index]))
  return outputs.map((output) => positions.get(JSON.stringify(output)) ?? 0)
}

function checkValue(value: JsonValue, key: string): void {
  if (key.endsWith("activation") && typeof value === "string") requireActivation(value)
  if (Array.isArray(value)) for (const item of value) checkValue(item, key)
  else if (typeof value === "object" && value !== null) checkObject(value)
}

function checkObject(object: JsonObject): void {
  for (const [key, value] of Object.entries(object)) {
    if (!plainKey.test(key)) throw refused(`the topology has the key ${JSON.stringify(key)}`)
    if (key.endsWith("activation") && value === "silu") object[key] = "swish" // Keras 3's name of the same
    else checkValue(value, key)
  }
  const className = object["class_name"]
  if (className !== undefined) checkClass(className, object["config"])
  if (object["training"] === true) throw refused("a layer that is called as in training answers at random")
  if (object["stateful"] === true) throw refused("a stateful layer would carry one caller's data into the next answer")
}

function checkClass(name: JsonValue, config: JsonValue | undefined): void {
  if (typeof name !== "string" || !knownClasses.has(name)) {
    throw refused(`layer class ${JSON.stringify(name)} is not known`, {
      hint: "only the built-in layers of tfjs-layers 4.22 are loaded; custom and Lambda layers hold code",
    })
  }
  if (typeof config === "object" && config !== null && !Array.isArray(config)) requireComputable(name, config)
}

function requireActivation(name: string): void {
  if (!knownActivations.has(name)) throw refused(`activation ${JSON.stringify(name)} is not known`)
}

function settleContainers(value: JsonValue): void {
  if (typeof value !== "object" || value === null) return
  for (const item of Object.values(value)) settleContainers(item)
  if (!Array.isArray(value) && isContainer(value)) settleContainer(value)
}

function settleContainer(model: JsonObject): void {
  const config = model["config"] ?? null
  const list = Array.isArray(config) ? config : asObject(config, "a model's config")["layers"]
  const layers = asArray(list, "layers", maxLayers).map((layer) => asObject(layer, "a layer"))
  if (model["class_name"] === "Sequential") return
  const fields = asObject(config, "a model's config")
  normaliseGraph(fields, layers, isContainer)
  fields["layers"] = orderLayers(layers, startsWithNode)
}

function startsWithNode(layer: JsonObject): boolean {
  return layer["class_name"] === "InputLayer" || isContainer(layer)
}

function isContainer(object: JsonObject): boolean {
  return containerClasses.some((name) => name === object["class_name"])
}
