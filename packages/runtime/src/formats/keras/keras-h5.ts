/**
 * A Keras model in one HDF5 file, `model.save("model.h5")` of Keras 2 and 3.
 *
 *     @model_config                            the topology, JSON
 *     @keras_version
 *     model_weights/@layer_names               ["dense", "prob"]
 *     model_weights/dense/@weight_names        ["dense/kernel:0", "dense/bias:0"], in the order of the layer's weights
 *     model_weights/dense/dense/kernel:0       float32, 784 by 128
 *
 * What training left (`optimizer_weights`, `training_config`) is walked, and not used.
 */
import { parseJson } from "@weighlock/manifest/base"
import { messageOf, refused } from "../../errors.ts"
import type { Dataset } from "../hdf5/dataset.ts"
import { type Group, openHdf5 } from "../hdf5/hdf5.ts"
import { inFile } from "../in-file.ts"
import type { LayersArtifacts } from "../tfjs-layers.ts"
import { openTopology } from "../topology.ts"
import type { Weight } from "../weights.ts"
import { weightOf } from "./weights-in-groups.ts"

/** Throws MODEL_REFUSED. */
export function openKerasH5(entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): LayersArtifacts {
  return inFile(entrypoint, files, (bytes) => {
    const root = openHdf5(bytes)
    const config = textOf(root, "model_config")
    if (config === undefined) {
      throw refused("it holds weights and no model (no model_config)", {
        hint: 'save the whole model: model.save("model.h5"), not save_weights',
      })
    }
    const version = textOf(root, "keras_version") ?? textOf(root.groups.get("model_weights"), "keras_version")
    const topology = openTopology({
      model_config: parse(config),
      ...(version !== undefined && { keras_version: version }),
    })
    return { kind: "layers", topology, weights: readWeights(root.groups.get("model_weights")) }
  })
}

function parse(text: string): ReturnType<typeof parseJson> {
  try {
    return parseJson(Buffer.from(text), "model_config")
  } catch (cause) {
    throw refused(messageOf(cause), { cause })
  }
}

function readWeights(group: Group | undefined): Weight[] {
  if (group === undefined) throw refused("it has no model_weights")
  return listOf(group, "layer_names").flatMap((layer) => {
    const own = group.groups.get(layer)
    if (own === undefined) throw refused(`layer_names names ${layer}, which is no group of model_weights`)
    return listOf(own, "weight_names").map((name, index) =>
      weightOf([layer], index, datasetAt(own, name, layer), name.replace(/:0$/, "")),
    )
  })
}

function datasetAt(group: Group, name: string, layer: string): Dataset {
  const parts = name.split("/")
  const last = parts.pop() ?? ""
  let at: Group | undefined = group
  for (const part of parts) at = at?.groups.get(part)
  const dataset = at?.datasets.get(last)
  if (dataset === undefined) throw refused(`weight_names of ${layer} names ${name}, which is not there`)
  return dataset
}

function textOf(group: Group | undefined, name: string): string | undefined {
  const attribute = group?.attributes.get(name)
  if (attribute === undefined) return undefined
  const [text, more] = attribute.texts ?? []
  if (text === undefined || more !== undefined) throw refused(`${name} is not one text`)
  return text
}

/** A list too long for one attribute stands in several: layer_names0, layer_names1. */
function listOf(group: Group, name: string): readonly string[] {
  const whole = group.attributes.get(name)
  if (whole !== undefined) return requireTexts(whole.texts, name)
  const parts: string[] = []
  for (let index = 0; ; index++) {
    const part = group.attributes.get(`${name}${index}`)
    if (part === undefined) break
    parts.push(...requireTexts(part.texts, name))
  }
  if (parts.length === 0) throw refused(`${name} is missing`)
  return parts
}

function requireTexts(texts: readonly string[] | null, name: string): readonly string[] {
  if (texts === null) throw refused(`${name} is no list of names`)
  return texts
}
