/**
 * A tfjs-layers model: `model.json` and the weight files it names, read from verified bytes alone.
 *
 *     { "format": "layers-model", "generatedBy": "TensorFlow.js tfjs-layers v4.22.0",
 *       "modelTopology": { … }, "weightsManifest": [ … ] }
 *
 * `trainingConfig`, optimizer state and user metadata are left alone: nothing here trains.
 */
import { readModelJson } from "./model-json.ts"
import { openTopology, type Topology } from "./topology.ts"
import { openWeights, type Weight } from "./weights.ts"

export interface LayersArtifacts {
  readonly kind: "layers"
  readonly topology: Topology
  readonly weights: readonly Weight[]
}

/** Throws MODEL_REFUSED. */
export function openTfjsLayers(
  entrypoint: string,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): LayersArtifacts {
  const { model, folder, others } = readModelJson(entrypoint, files, "layers-model")
  return {
    kind: "layers",
    topology: openTopology(model["modelTopology"]),
    weights: openWeights(model["weightsManifest"], folder, others),
  }
}
