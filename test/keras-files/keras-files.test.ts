/** Files that real Keras 2 and 3 wrote are answered as Keras answered, within 1e-5, on every engine of this package. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { askFiles, openEngine } from "../matrix/run-case.ts"
import { readKerasModels } from "./files.ts"

for (const engineName of ["js", "wasm"])
  for (const version of [2, 3] as const)
    test(`${engineName}: models of Keras ${version}, as .h5 and as .keras`, async () => {
      const engine = await openEngine(engineName)
      const models = readKerasModels(version)
      assert.equal(models.length, 13)
      for (const { name, files, shapes, inputs, outputs } of models)
        for (const { format, entrypoint, bytes } of files) {
          const question = inputs.map((values, index) => ({
            shape: shapes[index] ?? [],
            dtype: "float32" as const,
            values,
          }))
          const outcome = await askFiles(
            engine,
            { format, entrypoint, files: new Map([[entrypoint, bytes]]) },
            question,
          )
          assert.ok("answers" in outcome, `${name}, ${format}: ${"why" in outcome ? outcome.why : ""}`)
          assert.equal(outcome.answers.length, outputs.length)
          for (const [output, expected] of outputs.entries()) {
            const values: ArrayLike<number> = outcome.answers[output]!.values
            assert.equal(values.length, expected.length)
            for (const [at, right] of expected.entries())
              assert.ok(
                Math.abs(values[at]! - right) <= 1e-5 * Math.max(1, Math.abs(right)),
                `${name}, ${format}: ${values[at]} for ${right}`,
              )
          }
        }
    })
