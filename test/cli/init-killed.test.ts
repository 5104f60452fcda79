/** An `init` that was killed at any of its steps is taken up by the next one, and nobody has to mend anything by hand. */
import assert from "node:assert/strict"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { test, type TestContext } from "node:test"
import { Cli } from "../support/cli.ts"

const init = ["init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase"]
const progress = "reg/.weighlock-init.json"

async function complete(t: TestContext): Promise<Cli> {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json(...init)
  assert.ok(!existsSync(cli.path(progress)))
  return cli
}

/** Back to what was there when it was killed: the files that came later are gone. */
const kills: Readonly<Record<string, { readonly gone: readonly string[]; readonly knowsKey: boolean }>> = {
  "before the key": {
    gone: ["reg/trust.json", "reg/weighlock.toml", "reg/log-key.pem", "home/keys/alice.pem"],
    knowsKey: true,
  },
  "before anything": {
    gone: ["reg/trust.json", "reg/weighlock.toml", "reg/log-key.pem", "home/keys/alice.pem"],
    knowsKey: false,
  },
  "after the key": { gone: ["reg/trust.json", "reg/weighlock.toml", "reg/log-key.pem"], knowsKey: true },
  "after the log's key": { gone: ["reg/trust.json", "reg/weighlock.toml"], knowsKey: true },
  "before the trust root": { gone: ["reg/trust.json"], knowsKey: true },
}
for (const [when, { gone, knowsKey }] of Object.entries(kills))
  test(`killed ${when}: the same command again makes all of it`, async (t) => {
    const cli = await complete(t)
    const { keys } = (await cli.json("key", "list")) as unknown as { keys: { label: string; keyid: string }[] }
    const [key] = keys
    const before = existsSync(cli.path("home/keys/alice.pem"))
      ? readFileSync(cli.path("home/keys/alice.pem"), "utf8")
      : ""
    const logKey = readFileSync(cli.path("reg/log-key.pem"), "utf8")
    for (const name of gone) rmSync(cli.path(name))
    writeFileSync(cli.path(progress), knowsKey ? `${JSON.stringify({ label: "alice", keyid: key?.keyid })}\n` : "{}\n")
    await cli.json(...init)
    for (const name of ["reg/trust.json", "reg/weighlock.toml", "reg/log-key.pem", "home/keys/alice.pem"])
      assert.ok(existsSync(cli.path(name)), name)
    if (!gone.includes("home/keys/alice.pem"))
      assert.equal(readFileSync(cli.path("home/keys/alice.pem"), "utf8"), before, "the key is the one that was made")
    if (!gone.includes("reg/log-key.pem"))
      assert.equal(readFileSync(cli.path("reg/log-key.pem.unused"), "utf8"), logKey, "no key is lost")
    assert.ok(!existsSync(cli.path(progress)))
    await cli.json("trust", "show", "--trust", "reg/trust.json")
  })

test("a key that another made, and files of a registry that is complete, are never taken", async (t) => {
  const cli = await complete(t)
  assert.equal((await cli.refusal(...init)).code, "CONFLICT")
  rmSync(cli.path("reg/trust.json"))
  assert.equal((await cli.refusal(...init)).code, "CONFLICT") // no init was stopped: somebody moved it
  assert.ok(existsSync(cli.path("reg/log-key.pem")))
  writeFileSync(cli.path(progress), `${JSON.stringify({ label: "alice", keyid: "of another key" })}\n`)
  assert.equal((await cli.refusal(...init)).code, "CONFLICT")
  assert.equal(
    (await cli.refusal("init", "other", "--origin", "localhost", "--label", "alice", "--no-passphrase")).code,
    "CONFLICT",
  )
  await cli.json("init", "other", "--origin", "localhost", "--label", "bob", "--no-passphrase")
})
