/**
 * From what callers ask to one column an input, in the model's order.
 *
 *     inputs a, b; instances [{ a: [1, 2], b: [3] }, { b: [4], a: [5, 6] }]  ->  [[[1, 2], [5, 6]], [[3], [4]]]
 *
 * A model with one input takes its value without the name, too.
 */
import { RuntimeError } from "./errors.ts"
import type { TensorSpec } from "./tensors.ts"

type Named = Readonly<Record<string, unknown>>

/** For each input its value in every instance. Throws INPUT_INVALID. */
export function columnsOf(inputs: readonly TensorSpec[], instances: readonly unknown[]): unknown[][] {
  const [only] = inputs
  if (only !== undefined && inputs.length === 1) return [instances.map((instance) => soleValue(only, instance))]
  const rows = instances.map((instance) => requireNames(inputs, instance))
  return inputs.map(({ name }) => rows.map((row) => row[name]))
}

/** `named`, whose keys are exactly the inputs' names. Throws INPUT_INVALID. */
export function requireNames(inputs: readonly TensorSpec[], named: unknown): Named {
  const fields = asNamed(named)
  const expected = inputs.map(({ name }) => name)
  if (fields === null) throw badNames(`expected an object with the inputs ${listed(expected)}`)
  if (Object.keys(fields).length !== expected.length || !expected.every((name) => Object.hasOwn(fields, name)))
    throw badNames(`expected the inputs ${listed(expected)}, found ${listed(Object.keys(fields)) || "none"}`)
  return fields
}

/** `null` for what is no object with fields: a number, a list, a typed array. */
export function asNamed(value: unknown): Named | null {
  const isFields = typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
  return isFields ? (value as Named) : null
}

function soleValue(input: TensorSpec, instance: unknown): unknown {
  return asNamed(instance) === null ? instance : requireNames([input], instance)[input.name]
}

// An object from outside may have a million keys, each a megabyte long.
function listed(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => (name.length > 64 ? `${name.slice(0, 64).toWellFormed()}…` : name))
  return shown.join(", ") + (names.length > shown.length ? ` and ${names.length - shown.length} more` : "")
}

function badNames(message: string): RuntimeError {
  return new RuntimeError("INPUT_INVALID", message)
}
