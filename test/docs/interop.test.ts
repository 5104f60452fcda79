/** The commands of docs/interop.md, in order, in one folder; and what the page says of the forms that are read. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { after, before, test } from "node:test"
import { compiled } from "../support/compile-cache.ts"
import { blocksOf, readPage, repository, tableBelow } from "../support/markdown.ts"
import { omsFile, omsFolder, omsModel } from "../support/oms.ts"

const page = readPage("interop.md")
const blocks = blocksOf(page)
const hasTools = ["bash", "openssl"].every(
  (tool) => spawnSync(tool, [tool === "openssl" ? "version" : "--version"]).status === 0,
)
const skip = hasTools ? false : "bash or openssl is missing"
if (skip !== false && process.env["REQUIRE_OPENSSL"] === "1") throw new Error(skip)

let folder: string
before(() => {
  folder = mkdtempSync(join(tmpdir(), "weighlock-interop-"))
  const main = join(repository, "packages/cli/src/main.ts")
  mkdirSync(join(folder, "bin"))
  writeFileSync(join(folder, "bin", "weighlock"), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`, {
    mode: 0o755,
  })
  for (const name of ["model", "theirs"]) cpSync(omsModel, join(folder, name), { recursive: true })
  cpSync(omsFile("1.1.0", "files-p256.sig"), join(folder, "theirs.sig"))
  cpSync(omsFile("p256.pub.pem"), join(folder, "their.pub.pem"))
  cpSync(omsFile("1.1.0", "files-certificate.sig"), join(folder, "certified.sig"))
  cpSync(omsFile("certificates", "root.pem"), join(folder, "roots.pem"))
  if (skip === false) run("weighlock init reg --origin localhost --label alice --no-passphrase", 0)
})
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))

function run(script: string, exit: number): string {
  const { status, stdout, stderr } = spawnSync("bash", ["--norc", "-euo", "pipefail", "-c", script], {
    cwd: folder,
    encoding: "utf8",
    env: {
      ...compiled,
      PATH: `${join(folder, "bin")}${delimiter}${process.env["PATH"] ?? ""}`,
      HOME: folder,
      WEIGHLOCK_HOME: join(folder, "home"),
      WEIGHLOCK_TRUST: join(folder, "reg", "trust.json"),
    },
  })
  assert.equal(status, exit, stdout + stderr)
  return stdout
}

test("the page has commands that work and commands that are refused", () => {
  assert.deepEqual(
    blocks.map(({ kind, about }) => `${kind} ${about.split(", ")[0]}`),
    ["run export", "run cosign", "refused publish", "run verify", "refused verify", "run import"],
  )
})

for (const { kind, about, text } of blocks) {
  const [name = "", exit = "0"] = about.split(", ")
  test(`${kind}: ${name}`, { skip }, () => {
    const printed = run(text, Number(exit))
    assert.equal(kind === "refused", Number(exit) !== 0)
    // What the page shows of it, word by word.
    const [, shown = ""] = /```text\n([\s\S]*?)```/.exec(page) ?? []
    if (kind === "run" && name === "verify") assert.ok(printed.startsWith(shown), printed)
  })
}

test("every key of the provenance is on the page, and no other", { skip }, () => {
  const signed = (file: string): string[] => {
    const { payload } = JSON.parse(readFileSync(join(folder, file), "utf8")) as { payload: string }
    const statement = JSON.parse(Buffer.from(payload, "base64").toString()) as {
      subject: [{ annotations: { weighlock: { metadata: object } } }]
    }
    return Object.keys(statement.subject[0].annotations.weighlock.metadata)
  }
  const certified = "--bundle certified.sig --certificate-chain roots.pem"
  run(`weighlock import oms theirs ${certified} --as acme/theirs@2.0.0 -o certified.json`, 0)
  const listed = tableBelow(page, "## Import").map(([key = ""]) => key.replaceAll("`", ""))
  assert.deepEqual(signed("certified.json").toSorted(), listed.toSorted())
})

test("the versions on the page are those whose bundles are kept", () => {
  const named = tableBelow(page, "## What is read").flatMap(([versions = ""]) => versions.split(" and "))
  const kept = readdirSync(omsFolder).filter((name) => /^\d/.test(name))
  assert.deepEqual([...new Set(named)].toSorted(), kept.toSorted())
})
