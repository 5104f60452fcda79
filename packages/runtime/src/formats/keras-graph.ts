/**
 * The calls of a functional model, in the one spelling that tfjs-layers reads, and in an order it can follow.
 *
 *     Keras 3   "inbound_nodes": [{ "args": [{ "class_name": "__keras_tensor__",
 *                                              "config": { "keras_history": ["x", 0, 0], … } }], "kwargs": {} }]
 *     here      "inbound_nodes": [[["x", 0, 0, {}]]]
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"
import { asArray, asName, asObject } from "./json-fields.ts"

const maxCalls = 10_000

/** Rewrites the calls of a model's layers, and its inputs and outputs. `isContainer` knows models from layers. */
export function normaliseGraph(
  config: JsonObject,
  layers: readonly JsonObject[],
  isContainer: (one: JsonObject) => boolean,
): void {
  const containers = new Set(layers.filter(isContainer).map(({ name }) => name))
  const sequentials = new Set(layers.filter((layer) => layer["class_name"] === "Sequential").map(({ name }) => name))
  let keras3 = false
  for (const layer of layers) {
    const name = asName(layer["name"], "a layer's name")
    const calls = asArray(layer["inbound_nodes"] ?? [], `inbound_nodes of ${name}`, maxCalls)
    layer["inbound_nodes"] = calls.map((call) => {
      if (Array.isArray(call)) return flatCall(call)
      keras3 = true
      return callOf(asObject(call, `a call of ${name}`), containers)
    })
  }
  for (const end of ["input_layers", "output_layers"]) {
    config[end] = endsOf(config[end], end).map((tensor) => (keras3 ? shifted(tensor, sequentials) : tensor))
  }
}

// One input need not stand in a list of its own.
function flatCall(call: JsonValue[]): JsonValue[] {
  return typeof call[0] === "string" ? [call] : call
}

function callOf({ args, kwargs }: JsonObject, containers: ReadonlySet<JsonValue | undefined>): JsonValue[] {
  for (const [name, value] of Object.entries(asObject(kwargs ?? {}, "kwargs of a call"))) {
    if (!isNothing(value)) throw refused(`a layer is called with ${name}, which is not supported`)
  }
  const [given, ...more] = asArray(args, "args of a call", maxCalls)
  if (given === undefined || more.length > 0)
    throw refused("a layer is called with another number of arguments than one")
  return (Array.isArray(given) ? given : [given]).map((tensor) => [...shifted(historyOf(tensor), containers), {}])
}

function isNothing(value: JsonValue): boolean {
  return value === null || value === false || (Array.isArray(value) && value.every((item) => item === null))
}

function historyOf(tensor: JsonValue): JsonValue[] {
  const { class_name: name, config } = asObject(tensor, "an argument of a call")
  if (name !== "__keras_tensor__") throw refused("a layer is called with something that is no layer's output")
  return asArray(asObject(config, "a tensor")["keras_history"], "keras_history", 3)
}

// The library counts the making of a model as its first call. Keras 3 does not where layers are called; among the outputs of
// a model it does for all models but a Sequential.
function shifted(tensor: JsonValue[], containers: ReadonlySet<JsonValue | undefined>): JsonValue[] {
  const [layer, node, index] = tensor
  return containers.has(layer) && typeof node === "number" ? [asName(layer, "a layer"), node + 1, index ?? 0] : tensor
}

/** Inputs or outputs of a model: one, a list, or an object by name. */
function endsOf(value: JsonValue | undefined, what: string): JsonValue[][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return endsOf(Object.values(value), what)
  const list = asArray(value, what, maxCalls)
  return typeof list[0] === "string" ? [list] : list.map((tensor) => asArray(tensor, what, 3))
}
