/**
 * Inputs of whole numbers (`int32`, `bool`). Keras makes fractions of them where a layer computes with fractions; the library
 * cuts the fractions off instead: [1.5, 2] beside an int32 input came out of Concatenate as [1, 2].
 *
 *     words int32 -> Embedding            ids stay whole numbers
 *     age int32 -> Concatenate            becomes float32, as with Keras
 *     flags bool -> Multiply              refused: nothing here says what Keras would make of it
 */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { refused } from "../../errors.ts"
import type { TensorSpec } from "../../tensors.ts"

/** They take whole numbers, or turn them into float32 themselves. */
const takesWhole = new Set(["CategoryEncoding", "Embedding", "Rescaling"])
/** Whatever they are given, they hand it on. */
const handsOn = new Set(["Dropout", "Flatten", "InputLayer", "Permute", "RepeatVector", "Reshape"])
/** Keras computes with fractions here, of whole numbers as of others. */
const takesFractions = new Set(["BatchNormalization", "Concatenate", "Dense"])

interface Node {
  readonly inboundLayers: readonly Layer[]
  readonly outputTensors: readonly { dtype: string }[]
  readonly outboundLayer: Layer | undefined
}

interface Layer {
  readonly name: string
  getClassName(): string
  readonly inboundNodes: readonly Node[]
  readonly outboundNodes: readonly Node[]
  /** Of a model within the model. */
  readonly inputLayers?: readonly Layer[]
  readonly outputLayers?: readonly Layer[]
}

/** As which type each input has to be asked; the library would turn fractions back into what was declared. Throws MODEL_REFUSED. */
export function settleWholeNumbers(model: LayersModel, specs: readonly TensorSpec[]): TensorSpec["dtype"][] {
  const walks = specs.map(({ dtype }, at) => {
    const walk = new Walk()
    if (dtype !== "float32") walk.from((model.inputs[at] as unknown as { sourceLayer: Layer }).sourceLayer)
    return walk
  })
  return specs.map((spec, at) => settle(spec, walks[at] as Walk))
}

function settle({ name, dtype }: TensorSpec, { ends, seen }: Walk): TensorSpec["dtype"] {
  const odd = ends.find(
    (layer) => !takesWhole.has(kind(layer)) && !(takesFractions.has(kind(layer)) && dtype === "int32"),
  )
  if (odd !== undefined) {
    const why = `input ${name} is ${dtype} and goes into layer ${odd.name} (${kind(odd)}), where Keras and this library differ`
    throw refused(why, { hint: "declare the input as float32" })
  }
  if (ends.every((layer) => takesWhole.has(kind(layer)))) return dtype
  for (const layer of seen)
    if (kind(layer) === "InputLayer")
      for (const { outputTensors } of layer.inboundNodes) for (const tensor of outputTensors) tensor.dtype = "float32"
  return "float32"
}

/** From an input to the layers that compute with it; a model within the model is looked into. */
class Walk {
  readonly seen = new Set<Layer>()
  readonly ends: Layer[] = []

  from(layer: Layer, outputs: readonly Layer[] = []): void {
    if (this.seen.has(layer)) return
    this.seen.add(layer)
    if (outputs.includes(layer)) this.ends.push(layer) // what leaves a model as it came is not followed
    for (const node of layer.outboundNodes) {
      const to = node.outboundLayer
      if (to === undefined) continue
      if (to.inputLayers !== undefined) for (const input of to.inputLayers) this.from(input, to.outputLayers)
      else if (handsOn.has(kind(to)) || (kind(to) === "Concatenate" && node.inboundLayers.every(isWhole)))
        this.from(to, outputs)
      else this.ends.push(to)
    }
  }
}

/** Whether nothing but whole numbers comes from it. */
function isWhole(layer: Layer): boolean {
  if (kind(layer) === "InputLayer")
    return layer.inboundNodes.every(({ outputTensors }) => outputTensors.every(({ dtype }) => dtype !== "float32"))
  const passes = handsOn.has(kind(layer)) || kind(layer) === "Concatenate"
  return passes && layer.inboundNodes.every(({ inboundLayers }) => inboundLayers.every(isWhole))
}

function kind(layer: Layer): string {
  return layer.getClassName()
}
