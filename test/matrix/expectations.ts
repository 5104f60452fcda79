/** What every engine is held to: nothing wrong, and no class given up that it answered before. */
import assert from "node:assert/strict"
import { report, type Result, tally } from "./matrix.ts"

/** Cases that no engine answers: tfjs-layers 4.22 can't run the layer in a model, or gives its mask to the wrong one. */
const neverAnswered: readonly string[] = [
  "CategoryEncoding",
  "CenterCrop",
  "ConvLSTM2DCell",
  "Masking beside",
  "RandomWidth",
  "Resizing",
]

/** What an engine passes over as a whole. */
const passedOver: Readonly<Record<string, readonly string[]>> = {
  js: neverAnswered,
  wasm: [...neverAnswered, "MaxPooling3D"],
}

/** `least` is the share of cases that must be answered: a rule that refuses too much shows there. */
export function requireRight(engine: string, results: readonly Result[], least: number): void {
  const wrong = results.filter(({ outcome }) => outcome === "wrong")
  assert.deepEqual(
    wrong.slice(0, 20).map(({ id, why }) => `${id}: ${why}`),
    [],
    `${wrong.length} of ${results.length} cases are wrong on ${engine}\n${report(engine, results)}`,
  )
  const right = results.filter(({ outcome }) => outcome === "right").length
  assert.ok(
    right >= least * results.length,
    `only ${right} of ${results.length} are answered\n${report(engine, results)}`,
  )
}

/** Of all cases, not of a choice. */
export function requireEveryClass(engine: string, results: readonly Result[]): void {
  const unanswered = [...tally(results)].filter(([, { right }]) => right === 0).map(([layer]) => layer)
  assert.deepEqual(unanswered.toSorted(), [...(passedOver[engine] ?? [])].toSorted(), "classes without one answer")
}
