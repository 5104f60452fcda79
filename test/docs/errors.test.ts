/** docs/errors.md, the one table of codes, and the packages' lists say the same. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { cliErrorCodes, exitCodeOf } from "@weighlock/cli"
import { clientErrorCodes } from "@weighlock/client"
import { errorRow, errorTable, manifestErrorCodes } from "@weighlock/manifest"
import { registryErrorCodes, statusOf } from "@weighlock/registry"
import { runtimeErrorCodes } from "@weighlock/runtime"
import { codesOnThePage } from "../support/error-page.ts"
import { readPage, tableBelow } from "../support/markdown.ts"

const sections = codesOnThePage()
const table = Object.keys(errorTable)

test("every code of the table is on the page, and no other", () => {
  assert.deepEqual(sections.map(({ code }) => code).toSorted(), table.toSorted())
})

test("every code of the table is one that a package raises", () => {
  const lists = [manifestErrorCodes, clientErrorCodes, registryErrorCodes, runtimeErrorCodes, cliErrorCodes]
  assert.deepEqual(table.toSorted(), [...new Set<string>(lists.flat())].toSorted())
})

test("table and page are sorted by exit code, then by name", () => {
  const sorted = sections.toSorted((a, b) => a.exit - b.exit || (a.code < b.code ? -1 : 1)).map(({ code }) => code)
  assert.deepEqual(
    sections.map(({ code }) => code),
    sorted,
  )
  assert.deepEqual(table, sorted)
})

test("the overview says what the sections say", () => {
  const overview = tableBelow(readPage("errors.md"), "## Codes")
  const rows = sections.map(({ code, exit, http, believed, raised }) => [
    `\`${code}\``,
    String(exit),
    String(http ?? ""),
    believed ? "yes" : raised === null ? "" : `no: \`${raised}\``,
  ])
  assert.deepEqual(overview, rows)
})

for (const { code, exit, http, believed, meaning, todo } of sections) {
  test(`${code}: exit ${exit}, HTTP ${http}`, () => {
    assert.deepEqual(errorRow(code), { exit, http, claimable: believed })
    assert.equal(exitCodeOf(code), exit)
    assert.equal(statusOf(code), http)
    assert.match(meaning, /\.$/)
    assert.match(todo, /\.$/)
  })
}

test("what is no code has no row, no status and the exit code of a bug", () => {
  for (const code of ["__proto__", "toString", "not_found", ""]) {
    assert.equal(errorRow(code), null)
    assert.equal(statusOf(code), null)
    assert.equal(exitCodeOf(code), 1)
  }
})

test("the table of exit codes has those that are used, and 0", () => {
  const listed = tableBelow(readPage("errors.md"), "## Exit codes").map(([exit]) => Number(exit))
  const used = new Set([0, ...sections.map(({ exit }) => exit)])
  assert.deepEqual(
    listed,
    [...used].toSorted((a, b) => a - b),
  )
})
