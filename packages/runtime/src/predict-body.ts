/**
 * TF Serving's two forms of one question, from bytes to columns.
 *
 *     rows      {"instances": [x1, x2]}          -> {"predictions": [y1, y2]}
 *     columns   {"inputs": [x1, x2]}             -> {"outputs": [y1, y2]}
 *
 * With several inputs a row is an object by name, and `inputs` an object of lists; a single input may be named too.
 *
 * It runs in the engine's thread: a body of many megabytes takes a while to parse, and nobody else waits for it meanwhile.
 */
import { RuntimeError } from "./errors.ts"
import { asNamed, columnsOf, requireNames } from "./instances.ts"
import type { Instance } from "./questions.ts"
import type { TensorSpec } from "./tensors.ts"

export type AnswerForm = "rows" | "columns" | "single"

export interface PredictQuestion {
  readonly form: AnswerForm
  readonly rows: number
  /** For each input of the model its value in every row; not yet checked. */
  readonly columns: readonly (readonly unknown[])[]
}

/** Throws INPUT_INVALID; TOO_LARGE for more than `maxRows`. The tensors themselves are checked where they are packed. */
export function readQuestion(body: Uint8Array, inputs: readonly TensorSpec[], maxRows: number): PredictQuestion {
  const { form, value } = openBody(body)
  if (form === "columns" && asNamed(value) !== null) return columns(value, inputs, maxRows)
  return question(form, asBatch(value, form === "rows" ? "instances" : "inputs", maxRows), inputs)
}

/** One instance by itself: `[[0, 0.5, …], …]`, or the tensors by input name. Throws INPUT_INVALID. */
export function readInstance(body: Uint8Array, inputs: readonly TensorSpec[]): PredictQuestion {
  return question("single", [parse(body)], inputs)
}

/** The same bodies as rows, whatever their form, for a model that is not known yet. Throws INPUT_INVALID. */
export function readInstances(body: Uint8Array): readonly Instance[] {
  const { form, value } = openBody(body)
  const named = form === "rows" ? null : asNamed(value)
  if (named === null) return asBatch(value, form === "rows" ? "instances" : "inputs") as Instance[]
  const batches = Object.entries(named).map(([name, batch]) => [name, asBatch(batch, `input ${name}`)] as const)
  const [first] = batches
  if (first === undefined) throw bad("inputs names no tensor")
  requireSameLength(batches.map(([, batch]) => batch))
  return first[1].map((_, row) => Object.fromEntries(batches.map(([name, batch]) => [name, batch[row]])) as Instance)
}

function openBody(body: Uint8Array): { form: "rows" | "columns"; value: unknown } {
  const request = asNamed(parse(body))
  if (!request) throw bad("the body is not a JSON object")
  const signature = own(request, "signature_name") ?? ""
  if (signature !== "" && signature !== "serving_default") throw bad("the only signature_name is serving_default")
  const instances = own(request, "instances")
  const inputs = own(request, "inputs")
  if ((instances === undefined) === (inputs === undefined)) throw bad("the body needs either instances or inputs")
  return inputs === undefined ? { form: "rows", value: instances } : { form: "columns", value: inputs }
}

function question(form: AnswerForm, rows: readonly unknown[], inputs: readonly TensorSpec[]): PredictQuestion {
  return { form, rows: rows.length, columns: columnsOf(inputs, rows) }
}

function columns(value: unknown, inputs: readonly TensorSpec[], maxRows: number): PredictQuestion {
  const named = requireNames(inputs, value)
  const batches = inputs.map(({ name }) => asBatch(named[name], `input ${name}`, maxRows))
  requireSameLength(batches)
  return { form: "columns", rows: batches[0]?.length ?? 0, columns: batches }
}

function requireSameLength(batches: readonly (readonly unknown[])[]): void {
  if (batches.some(({ length }) => length !== batches[0]?.length)) throw bad("the inputs differ in their batch")
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    throw bad("the body is not JSON in UTF-8")
  }
}

function asBatch(value: unknown, what: string, maxRows = Infinity): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw bad(`${what} is not a list with something in it`)
  if (value.length <= maxRows) return value
  throw new RuntimeError("TOO_LARGE", `${what} has ${value.length} rows; at most ${maxRows} are answered at once`, {
    hint: "ask in several requests, or start the server with a larger --max-rows",
  })
}

function own(fields: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined
}

function bad(message: string): RuntimeError {
  return new RuntimeError("INPUT_INVALID", message)
}
