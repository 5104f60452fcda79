/** What a command has written is still there after a power cut: every file and folder of its own, by name. */
import assert from "node:assert/strict"
import { mkdirSync, realpathSync, writeFileSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { createFile } from "@weighlock/node"
import { initWitness } from "@weighlock/registry"
import { Cli } from "../support/cli.ts"
import { SyncedNames } from "../support/synced-names.ts"
import { tempFolder } from "../support/temp.ts"

test("init, key new, sign, trust sign, publish: keys, trust root, receipts", async (t) => {
  const names = await SyncedNames.watch(t)
  if (names === null) return
  const cli = new Cli()
  t.after(() => cli.close())
  const home = join(realpathSync(cli.folder), "home")
  await cli.json("init", "new/reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  await cli.json("key", "new", "bob", "--no-passphrase")
  assert.deepEqual(names.missing(join(realpathSync(cli.folder), "new")), [])

  mkdirSync(cli.path("model"))
  writeFileSync(cli.path("model", "weights.bin"), "weights")
  const as = ["--as", "acme/model@1.0.0", "--key", "alice", "--trust", "new/reg/trust.json"]
  await cli.json("sign", "model", ...as, "-o", "signed.json")
  assert.ok(!names.missing(realpathSync(cli.folder)).includes("signed.json"))

  const server = await cli.start("registry", "serve", "--data", "data", "--trust", "new/reg/trust.json", "--port", "0")
  await cli.json("publish", "model", ...as, "--registry", server.announced.url)
  assert.deepEqual(names.missing(home), [])
})

test("a file that somebody made and did not live to sync is durable for whoever finds it", async (t) => {
  const names = await SyncedNames.watch(t)
  if (names === null) return
  const folder = realpathSync(tempFolder(t))
  await writeFile(join(folder, "key.pem"), "key")
  assert.ok(names.missing(folder).includes("key.pem"))
  assert.equal(await createFile(join(folder, "key.pem"), "another"), false)
  assert.ok(!names.missing(folder).includes("key.pem"))
})

test("witness init: the key, and every folder", async (t) => {
  const names = await SyncedNames.watch(t)
  if (names === null) return
  const folder = realpathSync(tempFolder(t))
  await initWitness({ data: join(folder, "a", "witness"), name: "witness.example/w1" })
  const database = /witness\.sqlite/ // which SQLite syncs itself
  assert.deepEqual(
    names.missing(join(folder, "a")).filter((path) => !database.test(path)),
    [],
  )
})
