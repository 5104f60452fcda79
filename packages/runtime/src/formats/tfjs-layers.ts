/**
 * A tfjs-layers model: `model.json` and the weight files it names, read from verified bytes alone.
 *
 *     { "format": "layers-model", "generatedBy": "TensorFlow.js tfjs-layers v4.22.0",
 *       "modelTopology": { … }, "weightsManifest": [ … ] }
 *
 * `trainingConfig`, optimizer state and user metadata are left alone: nothing here trains.
 */
import { type JsonObject, parseJson } from "@weighlock/manifest/base"
import { messageOf, refused } from "../errors.ts"
import { asObject } from "./json-fields.ts"
import { openTopology, type Topology } from "./topology.ts"
import { openWeights, type Weight } from "./weights.ts"

export interface LayersArtifacts {
  readonly kind: "layers"
  readonly topology: Topology
  readonly weights: readonly Weight[]
}

/** Bytes of model.json; large real ones stay under 2 MiB. */
const maxModelJson = 16 * 2 ** 20

/** Throws MODEL_REFUSED. */
export function openTfjsLayers(
  entrypoint: string,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): LayersArtifacts {
  const model = readModelJson(entrypoint, files)
  const format = model["format"]
  if (format !== undefined && format !== "layers-model") throw refused(`${entrypoint} is a ${JSON.stringify(format)}`)
  const folder = entrypoint.slice(0, entrypoint.lastIndexOf("/") + 1)
  const shards = new Map(files)
  shards.delete(entrypoint)
  return {
    kind: "layers",
    topology: openTopology(model["modelTopology"]),
    weights: openWeights(model["weightsManifest"], folder, shards),
  }
}

function readModelJson(entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): JsonObject {
  const bytes = files.get(entrypoint)
  if (!bytes) throw refused(`entrypoint ${entrypoint} is not a file of the signed manifest`)
  if (bytes.length > maxModelJson) throw refused(`${entrypoint} has ${bytes.length} bytes, more than ${maxModelJson}`)
  try {
    return asObject(parseJson(withoutMark(bytes), entrypoint), entrypoint)
  } catch (cause) {
    throw refused(messageOf(cause), { cause })
  }
}

// Windows tools begin a file with a byte order mark.
function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}
