/** Asking again: not for ever, not for certificates. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { ClientError, fetchModel } from "@weighlock/client"
import { reference, sharedShop } from "../support/published.ts"
import { tempFolder } from "../support/temp.ts"

// Not part of the package's interface: imported by its place.
const source = new URL("../../packages/client/src/retry.ts", import.meta.url)
const { retrying } = (await import(source.href)) as {
  retrying: (task: (alive: () => void) => Promise<never>, patience?: { now: () => number }) => Promise<never>
}
const shop = await sharedShop()

/** How often a task is tried whose every try takes `each` ms and fails; `bytes`: some arrive in between. */
async function triesOf(each: number, bytes = false): Promise<number> {
  let [time, tries] = [0, 0]
  const task = async (alive: () => void): Promise<never> => {
    tries++
    time += each
    if (bytes) alive()
    throw new ClientError("UNAVAILABLE", "no")
  }
  await assert.rejects(retrying(task, { now: () => time }), { code: "UNAVAILABLE" })
  return tries
}
test("retry: quick failures four times", async () => assert.equal(await triesOf(1), 4))
test("retry: a registry that hangs is not asked again after 30 s", async () => {
  assert.equal(await triesOf(30_000), 1)
  assert.equal(await triesOf(60_000), 1)
  assert.equal(await triesOf(16_000), 2)
})
test("retry: where bytes move, time does not count", async () => assert.equal(await triesOf(60_000, true), 4))

async function selfSigned(t: TestContext): Promise<string | null> {
  const folder = tempFolder(t)
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
  const asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -days 2"
  try {
    execFileSync("openssl", [...asked.split(" "), "-keyout", key, "-out", cert], { stdio: "pipe" })
  } catch (error) {
    if (process.env["REQUIRE_OPENSSL"] === "1") throw error
    t.skip("not checked: no openssl to make the certificate")
    return null
  }
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => server.close())
  return `https://localhost:${(server.address() as AddressInfo).port}`
}
test("a self-signed certificate: asked once, and the hint says how to trust its authority", async (t) => {
  const registry = await selfSigned(t)
  if (registry === null) return
  const start = performance.now()
  await assert.rejects(fetchModel(reference, { ...shop.options, registry }), {
    code: "UNAVAILABLE",
    message: /DEPTH_ZERO_SELF_SIGNED_CERT/,
    hint: /NODE_EXTRA_CA_CERTS/,
  })
  assert.ok(performance.now() - start < 1500)
})
for (const code of [
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "CERT_HAS_EXPIRED",
  "ERR_TLS_CERT_ALTNAME_INVALID",
]) {
  test(`retry: not after ${code}, wherever in the causes it is`, async () => {
    let tries = 0
    const cause = new Error("fetch failed", { cause: Object.assign(new Error("x"), { code }) })
    const task = async (): Promise<never> => {
      tries++
      throw new ClientError("UNAVAILABLE", "no", { cause })
    }
    await assert.rejects(retrying(task), { code: "UNAVAILABLE" })
    assert.equal(tries, 1)
  })
}
