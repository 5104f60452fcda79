/** The commands of docs/trust.md, run in order, each by the person whom the page names, in one shared folder. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { after, before, test } from "node:test"
import { makeExample, writeAll } from "../support/make-example.ts"
import { compiled } from "../support/compile-cache.ts"
import { blocksOf, readPage, repository } from "../support/markdown.ts"

const blocks = blocksOf(readPage("trust.md"))
const hasTools = ["bash", "jq"].every((tool) => spawnSync(tool, ["--version"]).status === 0)
const skip = hasTools ? false : "bash or jq is missing"
if (skip !== false && process.env["REQUIRE_OPENSSL"] === "1") throw new Error(skip)

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "weighlock-trust-"))
  await writeAll(folder, await makeExample())
  const command = join(folder, "bin", "weighlock")
  const main = join(repository, "packages/cli/src/main.ts")
  await writeAll(folder, new Map([["bin/weighlock", new Uint8Array()]]))
  await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`)
  await chmod(command, 0o755)
})
after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }))

function runAs(person: string, script: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync("bash", ["--norc", "-euo", "pipefail", "-c", script], {
    cwd: folder,
    encoding: "utf8",
    env: {
      ...compiled,
      PATH: `${join(folder, "bin")}${delimiter}${process.env["PATH"] ?? ""}`,
      HOME: join(folder, person),
      WEIGHLOCK_HOME: join(folder, person),
      WEIGHLOCK_PASSPHRASE: `the passphrase of ${person}`,
    },
  })
  return { status, output: stdout + stderr }
}

test("the page has commands that work and commands that are refused", () => {
  assert.ok(blocks.filter(({ kind }) => kind === "run").length >= 7)
  assert.ok(blocks.filter(({ kind }) => kind === "refused").length >= 4)
  assert.deepEqual([...new Set(blocks.map(({ kind }) => kind))].toSorted(), ["refused", "run"])
})

for (const { kind, about, text } of blocks) {
  const [person = "", exit = "0"] = about.split(", ")
  const last = text.split("\n").at(-1)
  test(`${person}, exit ${exit}: ${last}`, { skip }, () => {
    const { status, output } = runAs(person, text)
    assert.equal(status, Number(exit), output)
    assert.equal(kind === "refused", Number(exit) !== 0)
  })
}
