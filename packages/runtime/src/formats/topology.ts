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
import { asArray, asName, asObject } from "./json-fields.ts"
import { containerClasses, knownActivations, knownClasses } from "./layer-classes.ts"
import { requireComputable } from "./layer-settings.ts"

const maxLayers = 10_000
// With a capital, or with underscores at the end or in a row, a key could become another when the library converts it.
const plainKey = /^[a-z0-9]+(_[a-z0-9]+)*$/

/** Returns the model's own object, unwrapped from a Keras `model_config`. Throws MODEL_REFUSED. */
export function openTopology(value: JsonValue | undefined): JsonObject {
  const outer = asObject(value, "modelTopology")
  const root = outer["model_config"] === undefined ? outer : asObject(outer["model_config"], "model_config")
  if (!isContainer(root)) {
    throw refused(`the topology is a ${JSON.stringify(root["class_name"])}, not one of ${containerClasses.join(", ")}`)
  }
  checkValue(root, "")
  return root
}

function checkValue(value: JsonValue, key: string): void {
  if (key.endsWith("activation") && typeof value === "string") requireActivation(value)
  if (Array.isArray(value)) for (const item of value) checkValue(item, key)
  else if (typeof value === "object" && value !== null) checkObject(value)
}

function checkObject(object: JsonObject): void {
  for (const [key, value] of Object.entries(object)) {
    if (!plainKey.test(key)) throw refused(`the topology has the key ${JSON.stringify(key)}`)
    checkValue(value, key)
  }
  const className = object["class_name"]
  if (className !== undefined) checkClass(className, object["config"])
  if (object["stateful"] === true) throw refused("a stateful layer would carry one caller's data into the next answer")
  if (isContainer(object)) checkContainer(object)
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

function checkContainer(model: JsonObject): void {
  const config = model["config"] ?? null
  const list = Array.isArray(config) ? config : asObject(config, "a model's config")["layers"]
  const layers = asArray(list, "layers", maxLayers).map((layer) => asObject(layer, "a layer"))
  if (model["class_name"] !== "Sequential") requireBuildable(layers)
}

/** A layer's calls on others: `inbound_nodes[call][input] = [layer, node, tensor, kwargs?]`. */
interface PendingCall {
  readonly layer: string
  readonly needs: readonly (readonly [layer: string, node: number])[]
}

// The library's own loop, on counters: each round makes the calls whose inputs exist. It has no exit for a round that makes
// none, and would hang on a cycle or a missing layer.
function requireBuildable(layers: readonly JsonObject[]): void {
  const made = new Map<string, number>()
  let pending = layers.flatMap((layer) => {
    const name = layerName(layer, made)
    made.set(name, startsWithNode(layer) ? 1 : 0)
    return callsOf(layer, name)
  })
  while (pending.length > 0) {
    const waiting = pending.filter(({ layer, needs }) => {
      const ready = needs.every(([from, node]) => node < (made.get(from) ?? 0))
      if (ready) made.set(layer, (made.get(layer) ?? 0) + 1)
      return !ready
    })
    if (waiting.length === pending.length)
      throw refused(`layer ${waiting[0]?.layer} waits for a layer that never comes`)
    pending = waiting
  }
}

function layerName(layer: JsonObject, known: ReadonlyMap<string, number>): string {
  const name = asName(layer["name"], "a layer's name")
  if (asObject(layer["config"], `config of layer ${name}`)["name"] !== name)
    throw refused(`layer ${name} has two names`)
  if (known.has(name)) throw refused(`two layers are named ${name}`)
  return name
}

function startsWithNode(layer: JsonObject): boolean {
  return layer["class_name"] === "InputLayer" || isContainer(layer)
}

function isContainer(object: JsonObject): boolean {
  return containerClasses.some((name) => name === object["class_name"])
}

function callsOf(layer: JsonObject, name: string): PendingCall[] {
  return asArray(layer["inbound_nodes"], `inbound_nodes of ${name}`, maxLayers).map((call) => ({
    layer: name,
    needs: asArray(call, `a call of ${name}`, maxLayers).map((input) => {
      const [from, node] = asArray(input, `an input of ${name}`, 4)
      if (typeof node !== "number" || !Number.isSafeInteger(node) || node < 0) throw refused(`an input of ${name}`)
      return [asName(from, `an input of ${name}`), node]
    }),
  }))
}
