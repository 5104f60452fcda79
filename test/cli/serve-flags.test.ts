/** Flags of `weighlock serve` that are refused before anything is fetched: here nobody answers, and nothing is trusted. */
import assert from "node:assert/strict"
import { after, test } from "node:test"
import { Cli } from "../support/cli.ts"

const cli = new Cli()
after(() => cli.close())

for (const [flag, value] of [
  ["--predict-timeout", "0"],
  ["--predict-timeout", "0h"],
  ["--predict-timeout", "25d"],
  ["--predict-timeout", "99999d"],
  ["--max-rows", "0"],
] as const)
  test(`${flag} ${value} is USAGE, and the message names the flag`, async () => {
    const { code, stdout } = await cli.run("serve", "acme/x@1.0.0", "--port", "0", flag, value, "--json")
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
    assert.deepEqual([code, error.code], [2, "USAGE"])
    assert.ok(error.message.includes(flag), error.message)
  })
