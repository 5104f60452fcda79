/**
 * Settings with which tfjs-layers 4.22 computes something else than Keras, without a word and on every engine: it ignores
 * them, or reads them otherwise. Such a model is refused, since its answers would be wrong numbers.
 *
 *     { "class_name": "DepthwiseConv2D", "config": { "dilation_rate": [2, 2], … } }     computed as if it were 1: refused
 *     { "class_name": "DepthwiseConv2D", "config": { "dilation_rate": [1, 1], … } }     right
 *
 * test/matrix finds them: it asks thousands of small models and compares with what real Keras answers.
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"

type Allowed = (value: JsonValue) => boolean

/** Every number of a list must be the one: `dilation_rate` may be 1, [1, 1] or [1, 1, 1]. */
function only(...values: readonly JsonValue[]): Allowed {
  return (value) => (Array.isArray(value) ? value.every((one) => values.includes(one)) : values.includes(value))
}

const never: Allowed = () => false
const lastAxis: Allowed = (value) => typeof value === "number" && value >= -1

const channelsLast = { data_format: only("channels_last", "channelsLast") }
const convolution = { groups: only(1), padding: only("valid", "same") }
const transposed = { ...convolution, dilation_rate: only(1), output_padding: never }
const recurrent = { time_major: only(false), zero_output_for_mask: only(false) }
const globalPooling = { keepdims: only(false) }

/** By class and setting, what is computed as Keras does. A setting that is absent or null has Keras's default. */
export const layerSettings: Readonly<Record<string, Readonly<Record<string, Allowed>>>> = {
  AveragePooling1D: channelsLast,
  BatchNormalization: { renorm: only(false) },
  Bidirectional: { backward_layer: never },
  Concatenate: { axis: lastAxis },
  Conv1D: { ...convolution, ...channelsLast },
  Conv2D: convolution,
  Conv2DTranspose: transposed,
  Conv3D: convolution,
  Conv3DTranspose: transposed,
  ConvLSTM2D: recurrent,
  DepthwiseConv2D: { ...convolution, dilation_rate: only(1) },
  ELU: { alpha: only(1) },
  GRU: { ...recurrent, reset_after: only(false) },
  GRUCell: { reset_after: only(false) },
  GlobalAveragePooling1D: { ...globalPooling, ...channelsLast },
  GlobalAveragePooling2D: globalPooling,
  GlobalMaxPooling1D: { ...globalPooling, ...channelsLast },
  GlobalMaxPooling2D: globalPooling,
  InputLayer: { sparse: only(false), ragged: only(false) },
  LSTM: recurrent,
  LayerNormalization: { rms_scaling: only(false) },
  MaxPooling1D: channelsLast,
  RNN: recurrent,
  ReLU: { negative_slope: only(0), threshold: only(0) },
  SeparableConv2D: { ...convolution, ...channelsLast },
  SimpleRNN: recurrent,
  UpSampling2D: { interpolation: only("nearest") },
}

/** Layers that make the library forget the shape of its input, or that are random when they should not be. */
export const unusableLayers: readonly string[] = ["CategoryEncoding", "CenterCrop", "RandomWidth", "Resizing"]

/** Throws MODEL_REFUSED. */
export function requireComputable(className: string, config: JsonObject): void {
  if (unusableLayers.includes(className)) {
    throw refused(`${nameOf(className, config)}: tfjs-layers 4.22 cannot run this layer in a model`, {
      hint: "leave it to the caller: publish the model without it",
    })
  }
  for (const [setting, allowed] of Object.entries(layerSettings[className] ?? {})) {
    const value = config[setting] ?? null
    if (value !== null && !allowed(value)) throw otherwise(nameOf(className, config), setting, value)
  }
}

function otherwise(layer: string, setting: string, value: JsonValue): Error {
  return refused(`${layer}: tfjs-layers does not compute ${setting} ${JSON.stringify(value)} as Keras does`, {
    hint: "its answers would be wrong numbers; export the model without this setting, or in another format",
  })
}

function nameOf(className: string, { name }: JsonObject): string {
  return typeof name === "string" ? `layer ${name} (${className})` : `a ${className} layer`
}
