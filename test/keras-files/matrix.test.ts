/** The differential matrix through Keras's own files: a sample of it, in .h5 and in .keras, against real Keras's answers. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { readAnswers } from "../matrix/answers.ts"
import { allCases } from "../matrix/cases.ts"
import { requireRight } from "../matrix/expectations.ts"
import { runMatrix } from "../matrix/matrix.ts"
import { askFiles, openEngine } from "../matrix/run-case.ts"
import { asH5, asKeras } from "./case-files.ts"

const all = allCases().filter((one) => asH5(one) !== null)
const every = process.env["WEIGHLOCK_THOROUGH"] ? 1 : 5
const sample = all.filter((_, index) => index % every === 0)

for (const [what, files] of [
  [".h5", asH5],
  [".keras", asKeras],
] as const)
  for (const name of ["js", "wasm"])
    test(`${name}: ${sample.length} cases of the matrix as ${what}`, async () => {
      assert.ok(sample.length > 100)
      const engine = await openEngine(name)
      const results = await runMatrix(sample, readAnswers(), (one) => askFiles(engine, files(one)!, one.inputs))
      requireRight(name, results, 0.5)
    })
