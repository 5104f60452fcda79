/** 400 cases on the engine `wasm`, and the extreme ones; `test:engines` asks all. */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import type { Backend } from "@weighlock/runtime/src/engines/tfjs/backend.ts"
import { readAnswers } from "./answers.ts"
import { allCases } from "./cases.ts"
import { requireRight } from "./expectations.ts"
import { extremeFault, extremes } from "./extremes.ts"
import { longSums, representative } from "./features.ts"
import { runMatrix } from "./matrix.ts"
import { askCase, openEngine } from "./run-case.ts"

let engine: Backend

before(async () => {
  engine = await openEngine("wasm")
})

test("wasm answers 400 cases as Keras does, or refuses them", async () => {
  const results = await runMatrix(representative(allCases(), 400), readAnswers(), (one) => askCase(engine, one))
  requireRight("wasm", results, 0.55)
})

test("wasm answers every long sum as Keras does", async () => {
  const results = await runMatrix(longSums(allCases()), readAnswers(), (one) => askCase(engine, one))
  requireRight("wasm", results, 0.95)
})

test("wasm: nothing that is not finite gets through, long sums and negatives are right", async () => {
  const faults: string[] = []
  for (const extreme of extremes) {
    const fault = extremeFault(extreme, await askCase(engine, extreme.one))
    if (fault !== null) faults.push(`${extreme.one.id}: ${fault}`)
  }
  assert.deepEqual(faults, [])
})
