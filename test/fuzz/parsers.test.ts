/**
 * Mutants of every format that our own parsers read: each is taken, or refused with MODEL_REFUSED; none crashes, hangs or
 * fills memory. WEIGHLOCK_MUTANTS says how many for each parser: 5,000 here, 20,000 in `pnpm test:thorough`, a million by hand.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isThorough } from "../support/thorough.ts"
import { run } from "./mutants.ts"
import { parsers } from "./parsers.ts"

const mutants = Number(process.env["WEIGHLOCK_MUTANTS"] ?? (isThorough ? 20_000 : 5_000))

for (const parser of parsers)
  test(`${mutants} mutants for ${parser.name}`, (t) => {
    const before = process.memoryUsage()
    const { taken, refusals, slowest, faults } = run(parser, mutants)
    const after = process.memoryUsage()
    const common = [...refusals].toSorted(([, a], [, b]) => b - a).slice(0, 8)
    t.diagnostic(`${parser.name}: ${taken} of ${mutants} taken by the last stage, slowest ${slowest.toFixed(0)} ms`)
    t.diagnostic(common.map(([kind, count]) => `${count} ${kind}`).join("; "))
    assert.deepEqual(faults, [])
    assert.ok(taken >= mutants / 3, `only ${taken} reach the end`)
    assert.ok(slowest < 2000, `${slowest} ms`)
    const grown = after.rss - before.rss
    assert.ok(grown < 1e9, `${grown} bytes more`)
  })
