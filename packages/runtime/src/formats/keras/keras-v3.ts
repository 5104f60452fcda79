/**
 * A `.keras` file of Keras 3 and of Keras 2.12 and later: a zip archive.
 *
 *     config.json                                  the topology
 *     metadata.json                                { "keras_version": "3.15.1" }
 *     model.weights.h5 / layers/dense_1/vars/0     float32, 784 by 128; vars/@name says which layer: "prob"
 *
 * Groups are called after classes, in snake case, and counted: the second Dense is `dense_1`, whatever its name. Keras 3
 * says the layer's name in an attribute; where it does not, the layers of each class come in their order. Shapes that agree
 * by accident prove nothing: a group has to be found for every layer with weights, and none may be left over.
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { parseJson } from "@weighlock/manifest/base"
import { messageOf, refused } from "../../errors.ts"
import { type Group, openHdf5 } from "../hdf5/hdf5.ts"
import { inFile } from "../in-file.ts"
import { asArray, asName, asObject } from "../json-fields.ts"
import { containerClasses } from "../layer-classes.ts"
import type { LayersArtifacts } from "../tfjs-layers.ts"
import { openTopology } from "../topology.ts"
import type { Weight } from "../weights.ts"
import { type Member, openZip } from "../zip.ts"
import { weightOf } from "./weights-in-groups.ts"

const maxConfig = 16 * 2 ** 20
const maxLayers = 10_000

/** Throws MODEL_REFUSED. */
export function openKerasV3(entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): LayersArtifacts {
  return inFile(entrypoint, files, (bytes) => {
    const members = openZip(bytes)
    const config = readJson(members, "config.json")
    const { keras_version: version } = readJson(members, "metadata.json")
    const groups = readWeights(members)
    // The topology is changed in place while it is opened: what follows reads the file's own.
    const weights = layersOf(config, groups, [])
    const topology = openTopology({ model_config: config, ...(version !== undefined && { keras_version: version }) })
    return { kind: "layers", topology, weights }
  })
}

function readJson(members: ReadonlyMap<string, Member>, name: string): JsonObject {
  const member = members.get(name)
  if (member === undefined) throw refused(`it holds no ${name}`)
  const bytes = member()
  if (bytes.length > maxConfig) throw refused(`${name} has ${bytes.length} bytes, more than ${maxConfig}`)
  try {
    return asObject(parseJson(bytes, name), name)
  } catch (cause) {
    throw refused(messageOf(cause), { cause })
  }
}

function readWeights(members: ReadonlyMap<string, Member>): Group {
  const member = members.get("model.weights.h5")
  if (member !== undefined) return openHdf5(member())
  const isSharded = [...members.keys()].some((name) => name.startsWith("model.weights"))
  throw refused(isSharded ? "its weights are in shards" : "it holds no model.weights.h5", {
    hint: 'save it again: model.save("model.keras")',
  })
}

/** The weights of every layer of a model; `path` are the models that it lies in. */
function layersOf(model: JsonObject, group: Group, path: readonly string[]): Weight[] {
  const container = group.groups.get("layers") ?? group.groups.get("_layer_checkpoint_dependencies")
  requireNoOwn(group, path)
  const left = new Map(container?.groups)
  const named = byName(left)
  const counts = new Map<string, number>()
  const weights = configsOf(model).flatMap((layer) => {
    const name = nameOf(layer)
    const own = take(left, named, groupName(layer, counts), name)
    if (own === undefined) return []
    const at = [...path, name]
    return isContainer(layer) ? layersOf(layer, own, at) : weightsIn(own, at)
  })
  for (const [name, one] of left) if (hasData(one)) throw refused(`the weights of ${name} belong to no layer`)
  return weights
}

/** Groups by the layer that they say they belong to. */
function byName(groups: ReadonlyMap<string, Group>): Map<string, string> {
  const named = new Map<string, string>()
  for (const [key, { groups: inner }] of groups) {
    const [name] = inner.get("vars")?.attributes.get("name")?.texts ?? []
    if (name === undefined) continue
    if (named.has(name)) throw refused(`two groups of weights belong to ${JSON.stringify(name)}`)
    named.set(name, key)
  }
  return named
}

function take(left: Map<string, Group>, named: Map<string, string>, counted: string, layer: string): Group | undefined {
  const key = named.size > 0 ? named.get(layer) : counted
  if (key === undefined) return undefined
  const group = left.get(key)
  left.delete(key)
  return group
}

/** As Keras calls the group of the next layer of a class. */
function groupName(layer: JsonObject, counts: Map<string, number>): string {
  const name = snakeCase(asName(layer["class_name"], "class_name"))
  const count = counts.get(name) ?? 0
  counts.set(name, count + 1)
  return count === 0 ? name : `${name}_${count}`
}

/** keras.src.utils.naming.to_snake_case */
function snakeCase(name: string): string {
  return name
    .replaceAll(/\W+/g, "")
    .replaceAll(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replaceAll(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase()
}

function configsOf({ config }: JsonObject): JsonObject[] {
  const layers = Array.isArray(config) ? config : asObject(config, "a model's config")["layers"]
  return asArray(layers, "layers", maxLayers).map((layer) => asObject(layer, "a layer"))
}

function nameOf(layer: JsonObject): string {
  const config: JsonValue | undefined = layer["config"]
  const own = typeof config === "object" && config !== null && !Array.isArray(config) ? config["name"] : undefined
  return asName(own ?? layer["name"], "a layer's name")
}

function isContainer(layer: JsonObject): boolean {
  return containerClasses.some((name) => name === layer["class_name"])
}

/** What a layer consists of, in the order of its weights: a wrapper's layers, a recurrent layer's cell. */
const parts = ["forward_layer", "backward_layer", "cell", "layer"] as const

function weightsIn(group: Group, path: readonly string[]): Weight[] {
  return datasetsIn(group, path).map(({ dataset, where }, index) => weightOf(path, index, dataset, where))
}

type Found = { readonly dataset: Parameters<typeof weightOf>[2]; readonly where: string }

function datasetsIn(group: Group, path: readonly string[]): Found[] {
  const where = path.join("/")
  const own = [...(group.groups.get("vars")?.datasets ?? [])]
  const inOrder = own.toSorted(([a], [b]) => Number(a) - Number(b))
  if (inOrder.some(([name], index) => name !== String(index)))
    throw refused(`the weights of ${where} are not counted from 0`)
  const found = inOrder.map(([name, dataset]) => ({ dataset, where: `${where}/${name}` }))
  for (const part of parts) {
    const inner = group.groups.get(part)
    if (inner) found.push(...datasetsIn(inner, [...path, part]))
  }
  const known = new Set<string>(["vars", "seed_generator", ...parts])
  for (const [name, inner] of group.groups)
    if (!known.has(name) && hasData(inner)) throw refused(`layer ${where} has weights in ${name}, which are not known`)
  return found
}

function requireNoOwn(group: Group, path: readonly string[]): void {
  if ((group.groups.get("vars")?.datasets.size ?? 0) === 0) return
  throw refused(`the model ${path.join("/")} has weights of its own, which no layer takes`)
}

function hasData({ datasets, groups }: Group): boolean {
  return datasets.size > 0 || [...groups.values()].some(hasData)
}
