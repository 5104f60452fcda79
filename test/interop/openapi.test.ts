/**
 * /openapi.json against the registry that serves it, by schemathesis: whatever the document allows is taken, whatever it
 * forbids is refused, and every answer is one that stands there. WEIGHLOCK_SCHEMATHESIS_SECONDS: for each registry;
 * WEIGHLOCK_SCHEMATHESIS_SEED: other cases than those of every run.
 */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { mkdirSync, writeFileSync } from "node:fs"
import { test, type TestContext } from "node:test"
import { Cli } from "../support/cli.ts"
import { run } from "./go-code.ts"
import { pythonCommand } from "./python.ts"

const seconds = process.env["WEIGHLOCK_SCHEMATHESIS_SECONDS"] ?? "40"
const seed = process.env["WEIGHLOCK_SCHEMATHESIS_SEED"] ?? "13"
const token = "a-token-for-schemathesis"

async function openRegistry(
  t: TestContext,
  tokens: object | null,
): Promise<{ readonly cli: Cli; readonly url: string }> {
  const cli = new Cli({ WEIGHLOCK_TOKEN: token })
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  writeFileSync(cli.path("tokens.json"), JSON.stringify(tokens))
  const flags = tokens === null ? [] : ["--tokens", "tokens.json"]
  const where = ["--data", "data", "--trust", "reg/trust.json", "--log-level", "silent"]
  const { announced } = await cli.start("registry", "serve", ...where, ...flags)
  mkdirSync(cli.path("model"))
  writeFileSync(cli.path("model", "a.txt"), "a model of sorts")
  const reached = ["--registry", announced.url, "--trust", "reg/trust.json"]
  await cli.json("publish", "model", "--as", "acme/thing@1.0.0", ...reached)
  return { cli, url: announced.url }
}

const sha256 = createHash("sha256").update(token).digest("hex")
for (const [what, tokens] of [
  ["without tokens", null],
  ["with tokens, readable by all", { tokens: [{ name: "ci", sha256, scopes: ["read", "publish"] }] }],
  [
    "with tokens for everything",
    { tokens: [{ name: "ci", sha256, scopes: ["read", "publish"] }], anonymousRead: false },
  ],
] as const)
  test(`the document of a registry ${what} says what is so`, { timeout: 600_000 }, async (t) => {
    const tool = await pythonCommand(t, "schemathesis")
    if (tool === null) return
    const { cli, url } = await openRegistry(t, tokens)
    const argv = ["run", `${url}/openapi.json`, "--max-time", seconds, "--continue-on-failure", "--no-color"]
    const header = tokens === null ? [] : ["--header", `Authorization: Bearer ${token}`]
    // Its exit code is 1 for any failure.
    const said = await run(tool, [...argv, ...header, "--seed", seed, "--generation-database", "none"], {
      cwd: cli.folder,
    })
    assert.match(said, /\b[1-9]\d* generated, [1-9]\d* passed/)
  })
