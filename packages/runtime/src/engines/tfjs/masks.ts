/**
 * Masks that tfjs-layers 4.22 loses on the way, or gives to layers they are not meant for: on every engine it then counts
 * steps that Keras leaves out, or leaves out what Keras counts.
 *
 *     Embedding(mask_zero) -> GlobalAveragePooling1D        Keras averages the words, the library the padding as well
 *     Embedding(mask_zero) -> LSTM -> RepeatVector -> LSTM  the library gives the first one's mask to the second
 *     Embedding(mask_zero) -> LSTM                          right
 *
 * The library's executor hands the last mask it met to every layer that comes later and has none of its own. So both are
 * followed through the model that is built, Keras's masks and the library's, and where a layer would heed another one than
 * in Keras the model is refused.
 */
import type { LayersModel } from "@tensorflow/tfjs-layers"
import { refused } from "../../errors.ts"

/** One mask, whatever its values. */
type Mask = object

interface Masks {
  readonly keras: Mask | null
  /** What the library's layer hands on. */
  readonly own: Mask | null
}

interface MaskedTensor {
  readonly id: number
}

interface MaskedLayer {
  readonly name: string
  readonly supportsMasking: boolean
  readonly maskZero?: boolean
  readonly returnSequences?: boolean
  readonly inboundNodes: readonly { readonly inputTensors: MaskedTensor[]; readonly outputTensors: MaskedTensor[] }[]
  getClassName(): string
}

interface MaskedModel extends MaskedLayer {
  readonly layers: readonly MaskedLayer[]
  readonly inputs: readonly MaskedTensor[]
  readonly outputs: readonly MaskedTensor[]
}

const none: Masks = { keras: null, own: null }
const unknown: Mask = {}

const memories = new Set(["Bidirectional", "ConvLSTM2D", "GRU", "LSTM", "RNN", "SimpleRNN"])
const merges = new Set(["Add", "Average", "Maximum", "Minimum", "Multiply"])
const handOn = new Set(
  `Activation AlphaDropout BatchNormalization Dense Dropout ELU GaussianDropout GaussianNoise LayerNormalization LeakyReLU
  PReLU ReLU Softmax SpatialDropout1D ThresholdedReLU TimeDistributed`.split(/\s+/),
)

/** Throws MODEL_REFUSED. */
export function requireMasksHeeded(model: LayersModel): void {
  walk(model, none, new Set())
}

/** Goes through the layers in an order in which they may run; `last` are the masks of which the executor may hold one. */
function walk(model: MaskedModel, given: Masks, before: ReadonlySet<Mask>): Masks {
  const masks = new Map(model.inputs.map(({ id }) => [id, given]))
  const last = new Set(before)
  const guessed: { layer: MaskedLayer; masks: number }[] = []
  for (const layer of model.layers) {
    for (const { inputTensors, outputTensors } of layer.inboundNodes) {
      const found = inputTensors.map(({ id }) => masks.get(id) ?? none)
      for (const { own } of found) if (own) last.add(own)
      if (!heeded(layer, found[0] ?? none, last)) throw notHeeded(layer)
      if (reads(layer) && !found[0]?.own) guessed.push({ layer, masks: last.size })
      const made = inputTensors.length === 0 ? given : masksAfter(layer, found, last)
      for (const { id } of outputTensors) masks.set(id, made)
    }
  }
  // Branches may run in another order: what was decided by the last mask holds only if no other came after it.
  const unsure = guessed.find((guess) => guess.masks < last.size)
  if (unsure) throw notHeeded(unsure.layer)
  return masks.get(model.outputs[0]?.id ?? -1) ?? none
}

function reads(layer: MaskedLayer): boolean {
  return memories.has(layer.getClassName()) || layer.getClassName() === "Softmax"
}

function heeded(layer: MaskedLayer, { keras, own }: Masks, last: ReadonlySet<Mask>): boolean {
  const className = layer.getClassName()
  if (className === "GlobalAveragePooling1D") return keras === null
  if (!reads(layer)) return true
  const [only = null] = last
  const used = own ?? (last.size > 1 ? unknown : only)
  const otherwise = className === "Softmax" || (className === "Bidirectional" && layer.returnSequences === true)
  return used === keras && !(otherwise && used !== null)
}

function masksAfter(layer: MaskedLayer, found: readonly Masks[], last: ReadonlySet<Mask>): Masks {
  const className = layer.getClassName()
  const first = found[0] ?? none
  if (isModel(layer)) return { keras: walk(layer, { keras: common(found), own: null }, last).keras, own: null }
  if (className === "Masking" || (className === "Embedding" && layer.maskZero === true)) return made({})
  if (memories.has(className)) return layer.returnSequences === true ? first : none
  if (className === "Concatenate" || merges.has(className)) return merged(className, found)
  if (!handOn.has(className)) return none
  return layer.supportsMasking ? first : { keras: first.keras, own: null }
}

function made(mask: Mask): Masks {
  return { keras: mask, own: mask }
}

// The library's elementwise merges make a mask of the wrong shape; that of Concatenate is right.
function merged(className: string, found: readonly Masks[]): Masks {
  if (found.every(({ keras, own }) => keras === null && own === null)) return none
  const result = common(found) ?? {}
  const right = className === "Concatenate" && found.every((each) => each.keras === each.own)
  return { keras: result, own: right ? result : {} }
}

/** The mask that all have; another one when they differ. */
function common(found: readonly Masks[]): Mask | null {
  const [{ keras } = none] = found
  return found.every((each) => each.keras === keras) ? keras : {}
}

function isModel(layer: MaskedLayer): layer is MaskedModel {
  return "layers" in layer
}

function notHeeded(layer: MaskedLayer): Error {
  const what = `layer ${layer.name} (${layer.getClassName()})`
  return refused(`${what}: tfjs-layers does not heed the masks of the model as Keras does`, {
    hint: "its answers would be wrong numbers; export the model without mask_zero and Masking, or in another format",
  })
}
