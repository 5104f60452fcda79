/** The flat table under a replayed history says what a Map says. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"

interface Table {
  readonly length: number
  find(name: string): number
  add(name: string): number
  name(row: number): string
}
// Not exported from the package.
const { NameTable } = (await import(new URL("../../packages/manifest/src/name-table.ts", import.meta.url).href)) as {
  NameTable: new () => Table
}

function compare(names: readonly string[]): void {
  const [table, map] = [new NameTable(), new Map<string, number>()]
  for (const name of names) {
    assert.equal(table.find(name), map.get(name) ?? -1)
    if (!map.has(name)) map.set(name, map.size)
    assert.equal(table.add(name), map.get(name))
  }
  assert.equal(table.length, map.size)
  for (const [name, row] of map) assert.deepEqual([table.find(name), table.name(row)], [row, name])
}

test("names: numbered as they come, found again, each once", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("", "a", "ab", "b"))), compare),
  )
})
test("names: it grows", () => {
  compare(Array.from({ length: 20_000 }, (_, at) => `acme/m${at % 15_000}@1.${"0".repeat(at % 7)}.0`))
  compare(["x".repeat(2000), "x".repeat(70_000), "x".repeat(2000)])
})
