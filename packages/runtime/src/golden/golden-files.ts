/**
 * The golden example of a model: two listed files, one question and the answer its publisher got.
 *
 *     golden/input.json     {"instances":[[1,2]]}                              a predict body
 *     golden/output.json    {"predictions":[[0.5,0.5]],"tolerance":1e-4}       one prediction per instance
 *
 * They are no part of the model: the loader of the format never sees them.
 */
import { refused } from "../errors.ts"

export const goldenInput = "golden/input.json"
export const goldenOutput = "golden/output.json"
/** Bytes each of the two may have. */
export const maxGoldenBytes: number = 2 ** 20

export interface GoldenFiles {
  readonly input: Uint8Array
  readonly output: Uint8Array
}

export interface SplitFiles<Bytes> {
  /** What the loader of the format may read. */
  readonly model: ReadonlyMap<string, Bytes>
  /** `null` when the model brings no example. */
  readonly golden: GoldenFiles | null
}

/** Throws MODEL_REFUSED for one of the two without the other, and for one that is too large. */
export function splitGolden<Bytes extends Uint8Array>(files: ReadonlyMap<string, Bytes>): SplitFiles<Bytes> {
  const model = new Map(files)
  const [input, output] = [model.get(goldenInput), model.get(goldenOutput)]
  if (input === undefined && output === undefined) return { model, golden: null }
  if (input === undefined) throw refused(`${goldenOutput} is there without ${goldenInput}`)
  if (output === undefined) throw refused(`${goldenInput} is there without ${goldenOutput}`)
  requireSize(goldenInput, input)
  requireSize(goldenOutput, output)
  model.delete(goldenInput)
  model.delete(goldenOutput)
  return { model, golden: { input, output } }
}

function requireSize(name: string, { length }: Uint8Array): void {
  if (length > maxGoldenBytes) throw refused(`${name} has ${length} bytes; at most ${maxGoldenBytes} are accepted`)
}
