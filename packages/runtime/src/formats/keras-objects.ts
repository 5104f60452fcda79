/**
 * The objects of a topology, in the one spelling that tfjs-layers reads: Keras 2's.
 *
 *     Keras 3   { "module": "keras", "class_name": "DTypePolicy", "config": { "name": "float32" }, "registered_name": null }
 *     here      "float32"
 *
 * What only training uses (initialisers, regularisers, constraints) is left out: the weights come from the signed files.
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"

const trainingOnly = /_(?:initializer|regularizer|constraint)$/
/** Fields of a Keras 3 object that say how to make it again, not what it is. */
const bookkeeping = new Set(["module", "registered_name", "build_config", "compile_config", "shared_object_id"])

/** Throws MODEL_REFUSED for what is not Keras's own. */
export function normaliseObjects(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(normaliseObjects)
  if (typeof value !== "object" || value === null) return value
  requireKerasOwn(value)
  const plain = dtypeOf(value) ?? functionOf(value)
  return plain ?? normaliseFields(value)
}

function normaliseFields(object: JsonObject): JsonObject {
  const isObject = object["class_name"] !== undefined
  const fields = Object.entries(object).flatMap(([key, value]): [string, JsonValue][] => {
    if (isObject && bookkeeping.has(key)) return []
    if (key === "dtype" && typeof value === "string") return [[key, computedIn(value)]]
    return [[key, trainingOnly.test(key) ? null : normaliseObjects(value)]]
  })
  const normalised = Object.fromEntries(fields)
  if (isObject) renameSettings(normalised)
  return normalised
}

// A class of somebody's own may have the name of a built-in one.
function requireKerasOwn({ class_name: name, module, registered_name: registered }: JsonObject): void {
  if (name === undefined) return
  const own =
    module === undefined ||
    module === null ||
    (typeof module === "string" && /^(?:builtins$|(?:tf_)?keras\b)/.test(module))
  const known = registered === undefined || registered === null || registered === name
  if (own && known) return
  const from = JSON.stringify(own ? registered : module)
  throw refused(`class ${JSON.stringify(name)} is not one of Keras's own but comes from ${from}`, {
    hint: "custom layers and functions hold code, and are not loaded",
  })
}

// Mixed policies compute in half precision and keep their weights in full: here all is full.
function computedIn(policy: string): string {
  return policy.startsWith("mixed_") ? "float32" : policy
}

function dtypeOf({ class_name: name, config }: JsonObject): string | null {
  if (name !== "DTypePolicy" && name !== "Policy") return null
  const dtype = typeof config === "object" && config !== null && !Array.isArray(config) ? config["name"] : undefined
  if (typeof dtype !== "string") throw refused(`a ${name} names no type`)
  return computedIn(dtype)
}

function functionOf({ class_name: name, config, module }: JsonObject): string | null {
  return name === "function" && module === "builtins" && typeof config === "string" ? config : null
}

const renamed: Readonly<Record<string, readonly [from: string, to: string]>> = {
  InputLayer: ["batch_shape", "batch_input_shape"],
  LeakyReLU: ["negative_slope", "alpha"],
}

/** Keras's defaults where the library has others. */
const defaults: Readonly<Record<string, readonly [setting: string, value: JsonValue]>> = {
  GRU: ["recurrent_activation", "sigmoid"],
  GRUCell: ["recurrent_activation", "sigmoid"],
  LSTM: ["recurrent_activation", "sigmoid"],
  LSTMCell: ["recurrent_activation", "sigmoid"],
  Softmax: ["axis", -1],
}

function renameSettings({ class_name: name, config }: JsonObject): void {
  const [setting, value] = (typeof name === "string" && Object.hasOwn(defaults, name) && defaults[name]) || []
  if (setting !== undefined && value !== undefined && isFields(config)) config[setting] ??= value
  const [from, to] = (typeof name === "string" && Object.hasOwn(renamed, name) && renamed[name]) || []
  if (from === undefined || to === undefined || !isFields(config)) return
  if (config[from] === undefined || config[to] !== undefined) return
  config[to] = config[from]
  delete config[from]
}

function isFields(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
