/**
 * Verified weights into the variables of a model: every variable gets one, none is left over, names and shapes agree.
 *
 *     variable out/kernel        from "out/kernel", or "sequential/out/kernel" as Keras 3 writes it
 *     variable lstm/kernel       from "lstm/lstm_cell/kernel", as TensorFlow does since 2.2
 *     variable dense/kernel      from "dense/0", as a .keras file counts them
 *     variable dw/depthwise_kernel from "dw/kernel", as Keras 3 calls it
 */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { refused } from "../../errors.ts"
import type { Weight, WeightSpec } from "../../formats/weights.ts"
import { describe } from "../../tensors.ts"
import type { TensorFlow } from "./backend.ts"

type Variable = LayersModel["weights"][number]

/** Throws MODEL_REFUSED. */
export function assignWeights(tf: TensorFlow, model: LayersModel, weights: readonly Weight[]): void {
  for (const [variable, weight] of matchWeights(model, weights)) assign(tf, variable, weight)
}

/** Which variable takes which weight. Throws MODEL_REFUSED where one is left over, or they do not fit each other. */
export function matchWeights<W extends WeightSpec>(model: LayersModel, weights: readonly W[]): [Variable, W][] {
  const isPlaced = weights.some(({ place }) => place !== undefined)
  const matched = isPlaced ? matchPlaces(model, weights) : matchNames(model.weights, weights)
  const open = new Set(model.weights)
  for (const [variable, weight] of matched) {
    if (!open.delete(variable)) throw refused(`weight ${weight.name} belongs to no layer of the topology`)
    requireFit(variable, weight)
  }
  const [missing] = open
  if (missing !== undefined) throw refused(`the weight files hold no weight ${missing.originalName}`)
  return matched
}

function matchNames<W extends WeightSpec>(variables: readonly Variable[], weights: readonly W[]): [Variable, W][] {
  const open = openVariables(variables)
  const byCount = countedNames([...open.keys()])
  return weights.map((weight): [Variable, W] => {
    const name = namesFor(weight.name, byCount).find((candidate) => open.has(candidate))
    const variable = name === undefined ? undefined : open.get(name)
    if (name === undefined || variable === undefined)
      throw refused(`weight ${weight.name} belongs to no layer of the topology`)
    open.delete(name)
    return [variable, weight]
  })
}

/**
 * By layer and by place in it: what a file calls the weights of a layer is then of no matter. Those of a model within the
 * model may come in another order than ours: there their names decide.
 */
function matchPlaces<W extends WeightSpec>(model: LayersModel, weights: readonly W[]): [Variable, W][] {
  const byLayer = new Map<string, W[]>()
  for (const weight of weights) {
    const key = JSON.stringify(weight.place?.path)
    const own = byLayer.get(key)
    if (own) own.push(weight)
    else byLayer.set(key, [weight])
  }
  return [...byLayer.values()].flatMap((own) => {
    const [first] = own
    const layer = layerAt(model, first?.place?.path ?? [])
    if (layer === undefined) throw refused(`weight ${first?.name} belongs to no layer of the topology`)
    return layer.layers === undefined ? own.map((weight) => inPlace(layer, weight)) : matchNames(layer.weights, own)
  })
}

function inPlace<W extends WeightSpec>(layer: Layer, weight: W): [Variable, W] {
  const variable = layer.weights[weight.place?.index ?? -1]
  if (variable === undefined) throw refused(`weight ${weight.name} belongs to no layer of the topology`)
  return [variable, weight]
}

interface Layer {
  readonly name: string
  readonly weights: readonly Variable[]
  readonly layers?: readonly Layer[]
}

function layerAt(model: LayersModel, path: readonly string[]): Layer | undefined {
  let at: Layer | undefined = model
  for (const name of path) at = at?.layers?.find((layer) => layer.name === name)
  return at
}

function openVariables(variables: readonly Variable[]): Map<string, Variable> {
  const byName = new Map<string, Variable>()
  for (const variable of variables) {
    if (byName.has(variable.originalName)) throw refused(`two layers have a weight ${variable.originalName}`)
    byName.set(variable.originalName, variable)
  }
  return byName
}

/** "dense/0" to "dense/kernel". */
function countedNames(names: readonly string[]): Map<string, string> {
  const counts = new Map<string, number>()
  return new Map(
    names.map((name) => {
      const layer = name.slice(0, name.lastIndexOf("/"))
      const count = counts.get(layer) ?? 0
      counts.set(layer, count + 1)
      return [`${layer}/${count}`, name]
    }),
  )
}

/** What a weight's variable may be called, the likeliest first. */
function namesFor(name: string, byCount: ReadonlyMap<string, string>): string[] {
  const parts = name.split("/")
  return parts.flatMap((_, from) => {
    const rest = parts.slice(from)
    const path = rest.join("/")
    const withoutCell = [...rest.slice(0, -2), ...rest.slice(-1)].join("/")
    const ofKeras3 = path.replace(/\/kernel$/, "/depthwise_kernel")
    return [path, ...(rest.length > 2 ? [withoutCell] : []), byCount.get(path) ?? path, ofKeras3]
  })
}

function requireFit(variable: Variable, { name, shape, dtype }: WeightSpec): void {
  const wanted = variable.shape
  const fits = wanted.length === shape.length && wanted.every((size, axis) => size === shape[axis])
  if (!fits) throw refused(`weight ${name} has the shape ${describe(shape)}, its layer takes ${describe(wanted)}`)
  if (dtype !== variable.dtype) throw refused(`weight ${name} is ${dtype}, its layer takes ${variable.dtype}`)
}

function assign(tf: TensorFlow, variable: Variable, { shape, dtype, values }: Weight): void {
  const tensor = tf.tensor(values(), [...shape], dtype)
  variable.write(tensor)
  tensor.dispose()
}
