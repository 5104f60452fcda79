/**
 * A case of the matrix: a small model, its weights and one question, all from a seed.
 *
 *     { id: "Conv2D/17", layer: "Conv2D",
 *       topology: { class_name: "Sequential", config: { name: "m", layers: [{ class_name: "Conv2D", config: {…} }] } },
 *       weights: [{ name: "x/kernel", shape: [3,3,1,2], values: […] }, …],
 *       inputs: [{ name: "in", shape: [2,7,5,1], dtype: "float32", values: […] }] }
 *
 * The topology is what Keras 2 writes. Most numbers are sixteenths, so that sums are exact and the answers compress; one
 * case in four has numbers with all their bits.
 */
import { Random } from "./random.ts"

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type Config = Readonly<Record<string, Json>>

export interface TensorOfCase {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: "float32" | "int32"
  readonly values: readonly number[]
}

export interface MatrixCase {
  readonly id: string
  /** The class it is about. */
  readonly layer: string
  readonly topology: Json
  /** In the order of Keras's `model.weights`, under the names that tfjs-layers gives them. */
  readonly weights: readonly TensorOfCase[]
  readonly inputs: readonly TensorOfCase[]
}

/** How a tensor's numbers are drawn. */
export type Values = "any" | "small" | "positive" | "same" | { readonly below: number }

export interface WeightDraft {
  readonly name: string
  readonly shape: readonly number[]
  readonly values?: Values
}

export interface LayerDraft {
  readonly className: string
  readonly config: Config
  readonly weights: readonly WeightDraft[]
}

/** Shapes leave the batch out. */
export interface InputDraft {
  readonly shape: readonly number[]
  readonly dtype?: "float32" | "int32"
  readonly values?: Values
}

export interface Draft {
  readonly topology: Json
  readonly inputs: readonly (InputDraft & { readonly name: string })[]
  readonly weights: readonly WeightDraft[]
}

/** What makes cases of one class; `null` for a choice of settings that is no model. */
export interface Family {
  readonly layer: string
  readonly count: number
  readonly draft: (random: Random) => Draft | null
}

export function layer(className: string, config: Config, weights: readonly WeightDraft[] = []): LayerDraft {
  return { className, config: { name: "x", ...config }, weights }
}

/** The layers one after the other. Keras writes an InputLayer before them, tfjs-layers the shape into the first one. */
export function sequential(input: InputDraft, ...layers: readonly LayerDraft[]): Draft {
  const { shape, dtype = "float32" } = input
  const first = { batch_input_shape: [null, ...shape], dtype }
  const configs = layers.map(({ className, config }) => ({ class_name: className, config }))
  const inputLayer = { class_name: "InputLayer", config: { ...first, sparse: false, ragged: false, name: "in" } }
  const merged = configs.map((each, index) => (index === 0 ? { ...each, config: { ...each.config, ...first } } : each))
  const asKeras = dtype === "int32" || new Random(JSON.stringify(layers)).once(2)
  return {
    topology: { class_name: "Sequential", config: { name: "m", layers: asKeras ? [inputLayer, ...configs] : merged } },
    inputs: [{ ...input, name: "in" }],
    weights: layers.flatMap((each) => each.weights),
  }
}

/** Layers by name, each called on those it names: `["sum", add, ["a", "b"]]`; several names are one call on a list. */
export function functional(
  inputs: readonly (InputDraft & { readonly name: string })[],
  calls: readonly (readonly [layer: LayerDraft, ...on: (readonly string[])[]])[],
  outputs: readonly (readonly [layer: string, node: number, tensor: number])[],
): Draft {
  const inputLayers = inputs.map(({ name, shape, dtype = "float32" }) => ({
    class_name: "InputLayer",
    name,
    config: { batch_input_shape: [null, ...shape], dtype, sparse: false, name },
    inbound_nodes: [],
  }))
  const containers = new Set(calls.flatMap(([{ config }]) => ("layers" in config ? [config["name"]] : [])))
  const layers = calls.map(([{ className, config }, ...on]) => ({
    class_name: className,
    name: config["name"] ?? "x",
    config,
    // A model within a model has a call of its own, the one it was made with.
    inbound_nodes: on.map((names) => names.map((name) => [name, containers.has(name) ? 1 : 0, 0, {}])),
  }))
  return {
    topology: {
      class_name: "Functional",
      config: {
        name: "m",
        layers: [...inputLayers, ...layers],
        input_layers: inputs.map(({ name }) => [name, 0, 0]),
        output_layers: outputs.map((output) => [...output]),
      },
    },
    inputs,
    weights: calls.flatMap(([each]) => each.weights),
  }
}

/** Answers of more numbers would make the file of answers large; a wrong one shows in small tensors too. */
export const maxAnswer = 160

/** `null` when the draft is none. */
export function makeCase(id: string, family: Family): MatrixCase | null {
  const random = new Random(id)
  const draft = family.draft(random)
  if (draft === null) return null
  const fine = random.once(4)
  const batch = random.int(1, 3)
  const inputs = draft.inputs.map(({ name, shape, dtype = "float32", values = "any" }) => {
    const whole = [batch, ...shape]
    return { name, shape: whole, dtype, values: draw(random, whole, values, fine) }
  })
  const weights = draft.weights.map(({ name, shape, values = "any" }) => {
    return { name, shape, dtype: "float32" as const, values: draw(random, shape, values, fine) }
  })
  return { id, layer: family.layer, topology: draft.topology, weights, inputs }
}

function draw(random: Random, shape: readonly number[], values: Values, fine: boolean): number[] {
  const count = shape.reduce((product, size) => product * size, 1)
  if (typeof values === "object") return random.many(count, () => random.int(0, values.below - 1))
  if (values === "same") return Array<number>(count).fill(0.05 + random.int(0, 2 ** 20) / 2 ** 24)
  const most = values === "small" ? 0.5 : 2
  return random.many(count, () => {
    // 24 bits are what a float32 holds exactly.
    const unit = fine ? random.int(-(2 ** 23), 2 ** 23) / 2 ** 23 : random.int(-16, 16) / 16
    return values === "positive" ? Math.abs(unit) + 0.25 : unit * most
  })
}
