/** docs/log.md and what audits look for say the same. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { exitCodeOf } from "@weighlock/cli"
import { auditChecks } from "@weighlock/client"
import { type AuditRule, auditRules, HistoryError } from "@weighlock/manifest"
import { readPage, tableBelow } from "../support/markdown.ts"

test("every rule of an audit is on the page with its exit code and its meaning, and no other", () => {
  const rows = tableBelow(readPage("log.md"), "### Rules").map(([rule = "", exit, meaning]) => [
    rule.replaceAll("`", ""),
    Number(exit),
    meaning,
  ])
  const rules = (Object.keys(auditRules) as AuditRule[]).map((rule) => [
    rule,
    exitCodeOf(new HistoryError(rule, "").code),
    auditRules[rule],
  ])
  assert.deepEqual(rows, rules)
})

test("every check of an audit is on the page with its meaning, and no other", () => {
  const rows = tableBelow(readPage("log.md"), "### Checks").map(([check = "", meaning]) => [
    check.replaceAll("`", ""),
    meaning,
  ])
  assert.deepEqual(rows, Object.entries(auditChecks))
})
