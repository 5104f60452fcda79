/** The image's own commands, as they stand in the Containerfile, run without an image: nothing here builds one. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { packages } from "../packages/pack.ts"
import { issue, pemOf, serverAuth } from "../support/certificate.ts"
import { Cli } from "../support/cli.ts"
import { makeWorld, startPeer } from "./support.ts"

const text = readFileSync(fileURLToPath(new URL("../../packages/registry/Containerfile", import.meta.url)), "utf8")

/** The JSON list after an instruction. */
function words(instruction: RegExp): string[] {
  const list = new RegExp(`^${instruction.source} (\\[.*\\])$`, "m").exec(text)?.[1]
  return JSON.parse(list ?? assert.fail(`there is no ${instruction.source}`)) as string[]
}

/** Not `spawnSync`: what it asks is in this process. */
async function healthOf(url: string): Promise<number | null> {
  const [, ...argv] = words(/HEALTHCHECK .* CMD/).map((word) => word.replaceAll("8443", new URL(url).port))
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "inherit", "inherit"] })
  return await new Promise((resolve) => child.once("close", resolve))
}

test("the health check is right with TLS, without, and when nobody answers", async (t) => {
  const world = await makeWorld(t)
  const plain = await startPeer(t, {}, world)
  assert.equal(await healthOf(plain.url), 0)
  await plain.close()
  assert.equal(await healthOf(plain.url), 1)
  const own = issue({ subject: "models.acme.example", names: ["models.acme.example"], purposes: [serverAuth] })
  const [cert, key] = [join(world.folder, "tls.crt"), join(world.folder, "tls.key")]
  writeFileSync(cert, pemOf(own))
  writeFileSync(key, own.key.export({ type: "pkcs8", format: "pem" }))
  const secure = await startPeer(t, { tls: { cert, key } }, world)
  assert.match(secure.url, /^https:/)
  assert.equal(await healthOf(secure.url), 0)
})

test("without --public-url the image ends with USAGE, and says what is missing", async (t) => {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "etc", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  const hash = "0".repeat(64)
  writeFileSync(
    cli.path("etc", "tokens.json"),
    JSON.stringify({ tokens: [{ name: "ci", sha256: hash, scopes: ["read"] }] }),
  )
  const [, , ...argv] = words(/ENTRYPOINT/).map((word) =>
    word
      .replace("/etc/weighlock", cli.path("etc"))
      .replace("/var/lib/weighlock", cli.path("data"))
      .replace("8443", "0"),
  )
  assert.deepEqual(argv.slice(0, 2), ["registry", "serve"])
  assert.ok(!/^CMD/m.test(text), "an address that is wrong for most is no default")
  const { code, stderr } = await cli.run(...argv)
  assert.deepEqual([code, /--public-url/.test(stderr)], [2, true], stderr)
})

test("every package of ours is packed into it", () => {
  const packed = /for name in ([a-z ]+); do/.exec(text)?.[1]?.split(" ")
  assert.deepEqual(packed?.toSorted(), [...packages].toSorted())
})
