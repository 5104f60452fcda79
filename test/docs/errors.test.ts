/** docs/errors.md, the packages' lists of codes, the CLI's exit codes and the registry's statuses say the same. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { cliErrorCodes, exitCodes } from "@weighlock/cli"
import { clientErrorCodes } from "@weighlock/client"
import { manifestErrorCodes } from "@weighlock/manifest"
import { httpStatus, registryErrorCodes } from "@weighlock/registry"
import { runtimeErrorCodes } from "@weighlock/runtime"
import { readPage, tableBelow } from "../support/markdown.ts"

const page = readPage("errors.md")
const rows = tableBelow(page, "## Codes").map(([code = "", exit = "", http = "", meaning = "", todo = ""]) => ({
  code: code.replaceAll("`", ""),
  exit: Number(exit),
  http,
  meaning,
  todo,
}))
const union = [
  ...new Set<string>([
    ...manifestErrorCodes,
    ...clientErrorCodes,
    ...registryErrorCodes,
    ...runtimeErrorCodes,
    ...cliErrorCodes,
  ]),
].toSorted()

test("every code of every package is on the page, and no other", () => {
  assert.deepEqual(rows.map(({ code }) => code).toSorted(), union)
})

test("every code has an exit code, and no other has", () => {
  assert.deepEqual(Object.keys(exitCodes).toSorted(), union)
})

test("codes are sorted by exit code, then by name", () => {
  const sorted = rows.toSorted((a, b) => a.exit - b.exit || (a.code < b.code ? -1 : 1))
  assert.deepEqual(
    rows.map(({ code }) => code),
    sorted.map(({ code }) => code),
  )
})

for (const { code, exit, http, meaning, todo } of rows) {
  test(`${code}: exit ${exit}${http === "" ? "" : `, HTTP ${http}`}`, () => {
    assert.equal((exitCodes as Readonly<Record<string, number>>)[code], exit)
    const status = (httpStatus as Readonly<Record<string, number>>)[code]
    assert.equal(http, status === undefined ? "" : String(status))
    assert.match(meaning, /\.$/)
    assert.match(todo, /\.$/)
  })
}

test("the table of exit codes has those that are used, and 0", () => {
  const listed = tableBelow(page, "## Exit codes").map(([exit]) => Number(exit))
  assert.deepEqual(
    listed,
    [...new Set([0, ...Object.values(exitCodes)])].toSorted((a, b) => a - b),
  )
})
