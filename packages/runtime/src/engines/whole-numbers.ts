/**
 * Inputs of whole numbers (`int32`, `bool`). Keras makes fractions of them where a layer computes with fractions; the library
 * cuts the fractions off instead: [1.5, 2] beside an int32 input came out of Concatenate as [1, 2].
 *
 *     words int32 -> Embedding            ids stay whole numbers
 *     age int32 -> Concatenate            becomes float32, as with Keras
 *     flags bool -> Multiply              refused: nothing here says what Keras would make of it
 */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { refused } from "../errors.ts"
import type { TensorSpec } from "../tensors.ts"

/** They take whole numbers, or turn them into float32 themselves. */
const takesWhole = new Set(["CategoryEncoding", "Embedding", "Rescaling"])
/** Whatever they are given, they hand it on. */
const handsOn = new Set(["Dropout", "Flatten", "InputLayer", "Permute", "RepeatVector", "Reshape"])
/** Keras computes with fractions here, of whole numbers as of others. */
const takesFractions = new Set(["BatchNormalization", "Concatenate", "Dense"])

interface Layer {
  readonly name: string
  getClassName(): string
  readonly inboundNodes: readonly { readonly outputTensors: readonly { dtype: string }[] }[]
  readonly outboundNodes: readonly { readonly outboundLayer: Layer | undefined }[]
  readonly inputLayers?: readonly Layer[]
}

/** As which type each input has to be asked; the library would turn fractions back into what was declared. Throws MODEL_REFUSED. */
export function settleWholeNumbers(model: LayersModel, specs: readonly TensorSpec[]): TensorSpec["dtype"][] {
  return specs.map(({ name, dtype }, at) => {
    if (dtype === "float32") return dtype
    const source = (model.inputs[at] as unknown as { sourceLayer: Layer }).sourceLayer
    const seen = new Set<Layer>()
    const ends = endsOf(source, seen)
    const odd = ends.find(
      (layer) => !takesWhole.has(kind(layer)) && !(takesFractions.has(kind(layer)) && dtype === "int32"),
    )
    if (odd !== undefined)
      throw refused(
        `input ${name} is ${dtype} and goes into layer ${odd.name} (${kind(odd)}), where Keras and this library differ`,
        {
          hint: "declare the input as float32",
        },
      )
    if (ends.every((layer) => takesWhole.has(kind(layer)))) return dtype
    for (const layer of seen)
      if (kind(layer) === "InputLayer")
        for (const { outputTensors } of layer.inboundNodes) for (const tensor of outputTensors) tensor.dtype = "float32"
    return "float32"
  })
}

/** The layers that compute with what comes from this one; a model within the model is looked into. */
function endsOf(from: Layer, seen: Set<Layer>): Layer[] {
  if (seen.has(from)) return []
  seen.add(from)
  return from.outboundNodes.flatMap(({ outboundLayer: to }) => {
    if (to === undefined) return []
    if (to.inputLayers !== undefined) return to.inputLayers.flatMap((layer) => endsOf(layer, seen))
    return handsOn.has(kind(to)) ? endsOf(to, seen) : [to]
  })
}

function kind(layer: Layer): string {
  return layer.getClassName()
}
