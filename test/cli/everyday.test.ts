/** Everyday machines: a user that the system has no name for, file names of other systems, a trust root with a date. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { fileURLToPath } from "node:url"
import { parseEnvelope, parseTrustRoot } from "@weighlock/manifest"
import { Cli } from "../support/cli.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const cli = new Cli()
after(() => cli.close())

before(() => cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase"))

const isRoot = process.getuid?.() === 0

test(
  "a uid without passwd entry and HOME: everything runs with WEIGHLOCK_HOME and WEIGHLOCK_CACHE",
  { skip: isRoot ? false : "only root can be somebody else" },
  (t) => {
    const folder = mkdtempSync(join(tmpdir(), "weighlock-nobody-"))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    const run = (env: Record<string, string>, ...argv: string[]): { code: number | null; text: string } => {
      const { status, stdout, stderr } = spawnSync(
        "setpriv",
        ["--reuid=54321", "--regid=54321", "--clear-groups", process.execPath, main, ...argv],
        {
          cwd: folder,
          env: { PATH: process.env["PATH"] ?? "", ...env },
          encoding: "utf8",
        },
      )
      return { code: status, text: stdout + stderr }
    }
    chmodSync(folder, 0o777)
    const env = { WEIGHLOCK_HOME: join(folder, "home"), WEIGHLOCK_CACHE: join(folder, "cache") }
    const probe = spawnSync("setpriv", [
      "--reuid=54321",
      "--regid=54321",
      "--clear-groups",
      process.execPath,
      "-e",
      `require("node:fs").readFileSync(${JSON.stringify(main)})`,
    ])
    if (probe.status !== 0) return t.skip("not checked: others may not read this checkout")
    const made = run(env, "init", "reg", "--origin", "localhost", "--no-passphrase", "-q")
    assert.equal(made.code, 0, made.text)
    mkdirSync(join(folder, "model"))
    writeFileSync(join(folder, "model", "a.txt"), "a model of sorts")
    const signed = run(
      env,
      "sign",
      "model",
      "--as",
      "acme/thing@1.0.0",
      "--trust",
      "reg/trust.json",
      "-o",
      "signed.json",
      "-q",
    )
    assert.equal(signed.code, 0, signed.text)
    const verified = run(env, "verify", "model", "--bundle", "signed.json", "--trust", "reg/trust.json", "-q")
    assert.equal(verified.code, 0, verified.text)
    for (const argv of [
      ["key", "list"],
      ["cache", "list"],
      ["pull", "acme/thing@1.0.0", "-o", "out", "--trust", "reg/trust.json", "--offline"],
    ]) {
      const { code, text } = run(env, ...argv)
      assert.equal(code, argv[0] === "pull" ? 6 : 0, text)
    }
    // Without the two it is said what to set.
    const lost = run({}, "key", "list")
    assert.deepEqual([lost.code, /set WEIGHLOCK_HOME/.test(lost.text)], [2, true], lost.text)
    const uncached = run({ WEIGHLOCK_HOME: env.WEIGHLOCK_HOME }, "cache", "list")
    assert.deepEqual([uncached.code, /set WEIGHLOCK_CACHE/.test(uncached.text)], [2, true], uncached.text)
  },
)

test(
  "a name that is not NFC, or not UTF-8, says so and how to rename it: MANIFEST_INVALID",
  { skip: process.platform !== "linux" ? "file systems elsewhere take no such names" : false },
  async () => {
    for (const [raw, message, hint] of [
      [Buffer.from("cafe\u0301.bin"), /not well-formed NFC/, /rename it to "caf\u00e9\.bin".*convmv .*--nfc/],
      [
        Buffer.from("caf\u00e9.bin", "latin1"),
        /is not UTF-8: caf\\xe9\.bin/,
        /mv .*\$'caf\\xe9\.bin'.*convmv -f latin1/,
      ],
      [Buffer.from("a:b.bin"), /a colon/, /rename it/],
      [Buffer.from("nul.txt"), /Windows device name/, /rename it/],
    ] as const) {
      const folder = cli.path("named")
      mkdirSync(folder)
      writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), raw]), "x")
      writeFileSync(join(folder, "a.txt"), "a model of sorts")
      const { code: refused, stdout } = await cli.run(
        "publish",
        "named",
        "--as",
        "acme/thing@1.0.0",
        "--dry-run",
        "--trust",
        "reg/trust.json",
        "--json",
      )
      const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint: string } }
      assert.deepEqual([refused, error.code], [11, "MANIFEST_INVALID"], stdout)
      assert.match(error.message, message)
      assert.match(error.hint, hint)
      rmSync(folder, { recursive: true })
    }
  },
)

test("init --expires: a date, a time, or USAGE; nothing is made first", async () => {
  const expiryOf = (folder: string): string =>
    parseTrustRoot(parseEnvelope(readFileSync(cli.path(folder, "trust.json"))).payload).expires.toISOString()
  const init = (folder: string, expires: string): string[] => [
    "init",
    folder,
    "--origin",
    "localhost",
    "--label",
    folder,
    "--no-passphrase",
    "--expires",
    expires,
  ]
  await cli.json(...init("dated", "2099-02-28"))
  assert.equal(expiryOf("dated"), "2099-02-28T23:59:59.000Z")
  await cli.json(...init("timed", "2099-02-28T12:00:00Z"))
  assert.equal(expiryOf("timed"), "2099-02-28T12:00:00.000Z")
  for (const expires of ["2099-02-30", "tomorrow", "2020-01-01", "2099-1-1", "", "99999-01-01"]) {
    assert.deepEqual(await cli.refusal(...init("none", expires)), { exit: 2, code: "USAGE" }, expires)
    assert.throws(() => readFileSync(cli.path("none", "trust.json")))
  }
  assert.equal((await cli.refusal(...init("none", "2099-01-01"), "--from", "x.json")).code, "USAGE")
})
