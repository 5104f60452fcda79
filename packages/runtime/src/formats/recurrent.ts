/**
 * What Keras 3 writes of recurrent layers and the library does not read, where it says nothing new.
 *
 *     Bidirectional   "backward_layer"        when it is the mirror of "layer", which the library makes by itself
 *     LSTM, GRU, …    "zero_output_for_mask"  when there is no mask in the whole model
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"

/** Takes it out. What does say something stays, and is refused with the settings of its layer. */
export function dropRedundant(model: JsonObject): void {
  drop(model, !hasMask(model))
}

function drop(value: JsonValue, isUnmasked: boolean): void {
  if (typeof value !== "object" || value === null) return
  for (const item of Object.values(value)) drop(item, isUnmasked)
  if (Array.isArray(value)) return
  if (isUnmasked) delete value["zero_output_for_mask"]
  const { class_name: name, config } = value
  if (name !== "Bidirectional" || !isObject(config)) return
  const { layer, backward_layer: backward } = config
  if (!isMirror(layer, backward)) return
  delete config["backward_layer"]
  if (isObject(layer) && isObject(layer["config"])) unprefix(layer["config"])
}

/** The library puts "forward_" before the name, as Keras 3 has done already. */
function unprefix(config: JsonObject): void {
  const { name } = config
  if (typeof name === "string") config["name"] = name.replace(/^forward_/, "")
}

function isMirror(layer: JsonValue | undefined, backward: JsonValue | undefined): boolean {
  if (!isObject(layer) || !isObject(backward) || layer["class_name"] !== backward["class_name"]) return false
  const [forth, back] = [layer["config"], backward["config"]]
  if (!isObject(forth) || !isObject(back)) return false
  const isTurned = (forth["go_backwards"] ?? false) !== (back["go_backwards"] ?? false)
  return isTurned && comparable(forth) === comparable(back)
}

function comparable(config: JsonObject): string {
  const settings = Object.entries(config).filter(([key]) => key !== "name" && key !== "go_backwards")
  return JSON.stringify(settings.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

function hasMask(value: JsonValue): boolean {
  if (typeof value !== "object" || value === null) return false
  if (!Array.isArray(value) && (value["class_name"] === "Masking" || value["mask_zero"] === true)) return true
  return Object.values(value).some(hasMask)
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}
