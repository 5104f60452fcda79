/** The matrix finds what it is for: engines with a fault that was put there on purpose. */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import type { Backend } from "@weighlock/runtime/src/engines/tfjs/backend.ts"
import { readAnswers, type Tensor } from "./answers.ts"
import type { MatrixCase } from "./case.ts"
import { allCases } from "./cases.ts"
import { extremeFault, extremes } from "./extremes.ts"
import { representative } from "./features.ts"
import { type Ask, runMatrix } from "./matrix.ts"
import { askCase, openEngine } from "./run-case.ts"

const cases = representative(allCases(), 400)
const answers = readAnswers()
let engine: Backend
/** What the engine answers right, without a fault. */
let answered: readonly MatrixCase[]

before(async () => {
  engine = await openEngine("js")
  const results = await runMatrix(cases, answers, honest)
  const right = new Set(results.filter(({ outcome }) => outcome === "right").map(({ id }) => id))
  answered = cases.filter(({ id }) => right.has(id))
})

const honest: Ask = (one) => askCase(engine, one)

async function wrongOf(ask: Ask, asked: readonly MatrixCase[] = cases): Promise<ReadonlySet<string>> {
  const results = await runMatrix(asked, answers, ask)
  return new Set(results.filter(({ outcome }) => outcome === "wrong").map(({ id }) => id))
}

function changed(change: (values: number[]) => number[]): Ask {
  return async (one) => {
    const outcome = await honest(one)
    if ("why" in outcome) return outcome
    return { answers: outcome.answers.map(({ shape, values }) => ({ shape, values: change(Array.from(values)) })) }
  }
}

function theirs(id: string): readonly Tensor[] {
  const found = answers.of.get(id)
  return typeof found === "object" ? found : []
}

test("zeros are found wherever Keras does not answer zeros", async () => {
  const asked = answered.filter(({ id }) =>
    theirs(id).some(({ values }) => Array.from(values).some((value) => Math.abs(value) > 1e-4)),
  )
  assert.ok(asked.length > 200)
  const wrong = await wrongOf(
    changed((values) => values.map(() => 0)),
    asked,
  )
  assert.equal(wrong.size, asked.length)
})

test("one number that is off in the fourth digit is found in every case", async () => {
  const asked = answered.filter(({ id }) => theirs(id).some(({ values }) => values.length > 0))
  const wrong = await wrongOf(
    changed((values) => [...values.slice(0, -1), (values.at(-1) ?? 0) + 1e-4]),
    asked,
  )
  const small = asked.filter(({ id }) => theirs(id).every(({ values }) => Math.abs(values[values.length - 1] ?? 0) < 9))
  assert.deepEqual(
    small.filter(({ id }) => !wrong.has(id)).map(({ id }) => id),
    [],
  )
})

test("a bias that is dropped is found in most layers that have one", async () => {
  const dropped: Ask = (one) => {
    const weights = one.weights.map((weight) =>
      weight.name.endsWith("bias") ? { ...weight, values: weight.values.map(() => 0) } : weight,
    )
    return honest({ ...one, weights })
  }
  const asked = answered.filter(({ weights }) => weights.some(({ name }) => name.endsWith("bias")))
  const wrong = await wrongOf(dropped, asked)
  assert.ok(asked.length > 80)
  assert.ok(wrong.size > 0.9 * asked.length, `${wrong.size} of ${asked.length}`)
})

test("an engine that swallows NaN and Infinity is found", async () => {
  const swallow = (values: readonly number[]): number[] => values.map((value) => (Number.isFinite(value) ? value : 0))
  for (const extreme of extremes.filter(({ answer }) => answer === null)) {
    const weights = extreme.one.weights.map((weight) => ({
      ...weight,
      values: swallow(weight.values).map((value) => Math.min(value, 1)),
    }))
    const inputs = extreme.one.inputs.map((input) => ({
      ...input,
      values: input.values.map((value) => Math.min(value, 1)),
    }))
    const outcome = await honest({ ...extreme.one, weights, inputs })
    assert.match(extremeFault(extreme, outcome) ?? "", /not finite/, extreme.one.id)
  }
})

test("a mean that stopped growing, and a maximum that begins at zero, are found", () => {
  for (const extreme of extremes.filter(({ answer }) => answer !== null)) {
    const outcome = { answers: [{ shape: [1, 1], values: [8.728] }] }
    assert.notEqual(extremeFault(extreme, outcome), null, extreme.one.id)
  }
})
