/**
 * TF Serving's two forms of one question.
 *
 *     rows      {"instances": [x1, x2]}          -> {"predictions": [y1, y2]}
 *     columns   {"inputs": [x1, x2]}             -> {"outputs": [y1, y2]}
 *
 * With several inputs a row is an object by name, and `inputs` an object of lists; a single input may be named too. With
 * several outputs likewise; a single output is never named.
 */
import { RuntimeError } from "../errors.ts"
import type { Answer, Instance } from "../questions.ts"
import type { TensorSpec } from "../tensors.ts"
import { badRequest } from "./refusal.ts"

export interface PredictQuestion {
  readonly form: "rows" | "columns"
  readonly instances: readonly Instance[]
}

type Fields = Readonly<Record<string, unknown>>

/** Throws a 400. The tensors themselves are checked where they are packed. */
export function readQuestion(body: Uint8Array): PredictQuestion {
  const request = asFields(parse(body))
  if (!request) throw badRequest("the body is not a JSON object")
  const signature = own(request, "signature_name") ?? ""
  if (signature !== "" && signature !== "serving_default")
    throw badRequest("the only signature_name is serving_default")
  const instances = own(request, "instances")
  const inputs = own(request, "inputs")
  if ((instances === undefined) === (inputs === undefined))
    throw badRequest("the body needs either instances or inputs")
  return inputs === undefined
    ? { form: "rows", instances: asBatch(instances, "instances") as Instance[] }
    : { form: "columns", instances: rowsOf(inputs) }
}

/** Throws OUTPUT_INVALID for what JSON can't say. */
export function writeAnswer(
  form: PredictQuestion["form"],
  outputs: readonly TensorSpec[],
  answers: readonly Answer[],
): string {
  const names = outputs.map(({ name }) => name)
  const columns = names.map((name) => answers.map((answer) => answer[name]))
  names.forEach((name, index) => requireFinite(name, columns[index]))
  if (form === "rows") return JSON.stringify({ predictions: names.length === 1 ? columns[0] : answers })
  const named = Object.fromEntries(names.map((name, index) => [name, columns[index]]))
  return JSON.stringify({ outputs: names.length === 1 ? columns[0] : named })
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    throw badRequest("the body is not JSON in UTF-8")
  }
}

function rowsOf(inputs: unknown): Instance[] {
  const named = asFields(inputs)
  if (!named) return asBatch(inputs, "inputs") as Instance[]
  const columns = Object.keys(named).map((name) => [name, asBatch(named[name], `input ${name}`)] as const)
  const count = columns[0]?.[1].length ?? 0
  if (count === 0) throw badRequest("inputs names no tensor")
  if (columns.some(([, column]) => column.length !== count)) throw badRequest("the inputs differ in their batch")
  return Array.from(
    { length: count },
    (_, row) => Object.fromEntries(columns.map(([name, column]) => [name, column[row]])) as Instance,
  )
}

function asBatch(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw badRequest(`${what} is not a list with something in it`)
  return value
}

function asFields(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null
}

function own(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

function requireFinite(name: string, value: unknown): void {
  if (Array.isArray(value)) for (const item of value) requireFinite(name, item)
  else if (typeof value === "number" && !Number.isFinite(value)) {
    throw new RuntimeError("OUTPUT_INVALID", `output ${name} holds ${value}, which JSON can't say`)
  }
}
