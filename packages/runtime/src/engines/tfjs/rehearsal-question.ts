/**
 * What an engine is asked before anybody else asks it: numbers of both signs, the same every time, and ids of the vocabulary.
 *
 *     image [28, 28]          784 numbers between -2 and 2
 *     words [null] -> Embedding of 100     7 ids from 0 to 99; where the size is open, 7, then 33, then 96
 */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { listOfShapes } from "./layer-limits.ts"
import { valuesOf } from "../../dtypes.ts"
import type { WeightValues } from "../../formats/weights.ts"
import { elementsIn, type TensorData, type TensorSpec } from "../../tensors.ts"

/** For sizes that the model leaves open: one of them may be large enough for its windows, and none costs much. */
const openSizes = [7, 33, 96] as const

const exactInFloat32 = 2 ** 24

interface BuiltLayer {
  readonly name: string
  getClassName(): string
  readonly inboundNodes: readonly {
    readonly inboundLayers: readonly BuiltLayer[]
    readonly inputShapes: unknown
    readonly outputShapes: unknown
  }[]
  readonly weights?: readonly { readonly shape: readonly number[] }[]
  readonly layers?: readonly BuiltLayer[]
  readonly inputDim?: number
  readonly numTokens?: number
}

/** One question for models of fixed sizes, else one for each open size. */
export function rehearsalQuestions(model: LayersModel, inputs: readonly TensorSpec[]): TensorData[][] {
  const ids = vocabularies(model as unknown as BuiltLayer, inputs)
  const sizes = inputs.some(({ shape }) => shape.includes(null)) ? openSizes : [openSizes[0]]
  return sizes.map((open) => inputs.map((spec) => tensorFor(spec, open, ids.get(spec.name))))
}

/** Multiplications that one question takes, about: each weight once for every place of its layer's answer. */
export function workOf(model: LayersModel): number {
  return layersIn(model as unknown as BuiltLayer).reduce((total, layer) => {
    if (layer.layers !== undefined) return total
    const weights = (layer.weights ?? []).reduce((sum, { shape }) => sum + elementsIn(shape), 0)
    const shapes = layer.inboundNodes.flatMap(({ inputShapes, outputShapes }) => [
      ...listOfShapes(inputShapes),
      ...listOfShapes(outputShapes),
    ])
    const places = Math.max(
      1,
      ...shapes.map((shape) => elementsIn(shape.slice(1, -1).map((size) => size ?? openSizes[0]))),
    )
    const looksUp = layer.getClassName() === "Embedding"
    return total + (looksUp ? places : places * Math.max(1, weights)) * Math.max(1, layer.inboundNodes.length)
  }, 0)
}

function tensorFor({ shape, dtype }: TensorSpec, open: number, vocabulary: number | undefined): TensorData {
  const sizes = [1, ...shape.map((size) => size ?? open)]
  const data = valuesOf(dtype, elementsIn(sizes)) as WeightValues
  const next = randomNumbers()
  for (let index = 0; index < data.length; index++) {
    if (vocabulary !== undefined) data[index] = Math.floor(next() * vocabulary)
    else if (dtype === "float32") data[index] = next() * 4 - 2
    else data[index] = Math.floor(next() * (dtype === "bool" ? 2 : 10))
  }
  return { shape: sizes, data }
}

/** From 0 up to 1, the same in every process (Numerical Recipes' generator). */
function randomNumbers(): () => number {
  let state = 7
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** By input: how many ids it may choose from. One that cannot be followed to its inputs counts for all of them. */
function vocabularies(model: BuiltLayer, inputs: readonly TensorSpec[]): Map<string, number> {
  const found = new Map<string, number>()
  for (const layer of layersIn(model)) {
    const size = layer.inputDim ?? layer.numTokens
    const looksUp = ["Embedding", "CategoryEncoding"].includes(layer.getClassName())
    if (!looksUp || size === undefined) continue
    const sources = inputsOf(layer, new Set())
    const names = inputs.map(({ name }) => name)
    const fed = names.filter((name) => sources.has(name))
    for (const name of fed.length > 0 ? fed : names)
      found.set(name, Math.min(size, exactInFloat32, found.get(name) ?? size))
  }
  return found
}

function layersIn(model: BuiltLayer): BuiltLayer[] {
  return (model.layers ?? []).flatMap((layer) => [layer, ...layersIn(layer)])
}

function inputsOf(layer: BuiltLayer, seen: Set<BuiltLayer>): Set<string> {
  const names = new Set<string>()
  const open = [layer]
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    if (seen.has(one)) continue
    seen.add(one)
    if (one.getClassName() === "InputLayer") names.add(one.name)
    open.push(...one.inboundNodes.flatMap(({ inboundLayers }) => inboundLayers))
  }
  return names
}
