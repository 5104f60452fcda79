/** Every case on one engine, a test for each class: what `test:engines` runs, one process an engine. */
import { before, test } from "node:test"
import type { Backend } from "@weighlock/runtime/src/engines/tfjs/backend.ts"
import { readAnswers } from "./answers.ts"
import { allCases } from "./cases.ts"
import { requireEveryClass, requireRight } from "./expectations.ts"
import { report, type Result, runMatrix } from "./matrix.ts"
import { askCase, openEngine } from "./run-case.ts"

/** `least` is the share of all cases that must be answered, not refused. */
export function testFullMatrix(name: string, least: number): void {
  const answers = readAnswers()
  const byLayer = Map.groupBy(allCases(), ({ layer }) => layer)
  const results: Result[] = []
  let engine: Backend
  let js: Backend

  before(async () => {
    js = await openEngine("js")
    engine = name === "js" ? js : await openEngine(name)
  })

  for (const [layer, cases] of byLayer) {
    test(`${name}: ${layer}, ${cases.length} cases`, async () => {
      const reference = name === "js" ? undefined : (one: (typeof cases)[number]) => askCase(js, one)
      const found = await runMatrix(cases, answers, (one) => askCase(engine, one), reference)
      results.push(...found)
      requireRight(name, found, 0)
    })
  }

  test(`${name}: how much it answers`, (context) => {
    context.diagnostic(report(name, results))
    requireRight(name, results, least)
    requireEveryClass(name, results)
  })
}
