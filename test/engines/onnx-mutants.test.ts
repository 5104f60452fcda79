/**
 * What our walk lets through goes to the real onnxruntime: mutants of ONNX files never end its process, whatever it says of
 * them. WEIGHLOCK_MUTANTS says how many; 20,000 here.
 */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { findPackage, onnxruntimePackage } from "../../packages/runtime/src/engines/installed/packages.ts"
import { openRuntime } from "../../packages/runtime/src/engines/onnx/session.ts"
import { openFormat } from "../../packages/runtime/src/formats/format.ts"
import { mutant } from "../fuzz/mutants.ts"
import { parsers } from "../fuzz/parsers.ts"
import { useInstalled } from "./onnx-engine.ts"

before(useInstalled)
const count = Number(process.env["WEIGHLOCK_MUTANTS"] ?? 20_000)

test(`${count} mutants: taken, or refused by one of the two`, { timeout: 3_600_000 }, async (t) => {
  const installed = findPackage(onnxruntimePackage)
  assert.ok(installed)
  const parser = parsers.find(({ name }) => name === "onnx")!
  const outcomes = { refusedByUs: 0, refusedByIt: 0, loaded: 0 }
  for (let index = 0; index < count; index++) {
    const bytes = mutant(parser, index)
    let artifacts
    try {
      artifacts = openFormat("onnx", "m", new Map([["m", bytes]]))
    } catch {
      outcomes.refusedByUs += 1
      continue
    }
    const runtime = openRuntime(installed.main, "cpu")
    try {
      await runtime.load(artifacts, { started: performance.now() })
      outcomes.loaded += 1
    } catch (error) {
      assert.equal((error as { code?: unknown }).code, "MODEL_REFUSED", `${index}: ${String(error)}`)
      outcomes.refusedByIt += 1
    } finally {
      await runtime.dispose()
    }
  }
  t.diagnostic(JSON.stringify(outcomes))
  assert.ok(process.memoryUsage().rss < 2e9)
})
