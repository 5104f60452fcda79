/** Asking again: not for ever, not for certificates. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { ClientError, fetchModel } from "@weighlock/client"
import { made, startHostile } from "../support/hostile.ts"
import { hostileClient, openShop, publishFiles, reference, sharedShop, smallFiles } from "../support/published.ts"
import { tempFolder } from "../support/temp.ts"

// Not part of the package's interface: imported by its place.
const source = new URL("../../packages/client/src/transport.ts", import.meta.url)
const { Transport } = (await import(source.href)) as {
  Transport: new (options: { registry: string }) => { retrying: (task: () => Promise<never>) => Promise<never> }
}
const shop = await sharedShop()

// What a server answers when a request comes too late on a connection that was opened in time (RFC 9110 §15.5.9).
const late = made(408, { code: "USAGE", detail: "not a request this server reads" }, { connection: "close" })

test("408: every request of a fetch is asked again", async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  proxy.rule = ({ count }) => (count === 1 ? late : null)
  const { files } = await fetchModel(reference, options)
  assert.deepEqual([...files.keys()].toSorted(), Object.keys(shop.files).toSorted())
  const asked = new Map<string, number>()
  for (const { method, path } of proxy.seen) asked.set(`${method} ${path}`, (asked.get(`${method} ${path}`) ?? 0) + 1)
  assert.ok(asked.size >= 4 && [...asked.values()].every((count) => count === 2), JSON.stringify([...asked]))
})

test("408: every request of a publish is asked again", async (t) => {
  const empty = await openShop(t)
  const proxy = await startHostile(t, empty.peer.url)
  proxy.rule = ({ count, answer }) => {
    if (count === 1) return late
    // Grants lead past this proxy otherwise.
    return {
      ...answer,
      body: Buffer.from(answer.body.toString("latin1").replaceAll(empty.peer.url, proxy.url), "latin1"),
    }
  }
  const { created } = await publishFiles({ ...empty, options: { ...empty.options, registry: proxy.url } }, smallFiles())
  assert.equal(typeof created, "boolean")
  const methods = new Set(proxy.seen.filter(({ count }) => count === 2).map(({ method }) => method))
  assert.deepEqual([...methods].toSorted(), ["GET", "POST", "PUT"])
})

test("503: asked again, and not before the registry says", async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  const busy = made(503, { code: "UNAVAILABLE", detail: "one moment" }, { "retry-after": "2" })
  const times: number[] = []
  proxy.rule = ({ count, path }) => {
    if (path.includes("/log/")) times.push(performance.now())
    return count === 1 && path.includes("/log/") ? busy : null
  }
  await fetchModel(reference, options)
  const [first = 0, second = 0] = times
  assert.ok(times.length >= 2 && second - first >= 1900, `${second - first} ms`) // a timer may be a little early
})

async function selfSigned(t: TestContext): Promise<{ url: string; connections: () => number } | null> {
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
  let count = 0
  server.on("connection", () => (count += 1))
  return { url: `https://localhost:${(server.address() as AddressInfo).port}`, connections: () => count }
}
test("a self-signed certificate: asked once, and the hint says how to trust its authority", async (t) => {
  const registry = await selfSigned(t)
  if (registry === null) return
  await assert.rejects(fetchModel(reference, { ...shop.options, registry: registry.url }), {
    code: "UNAVAILABLE",
    message: /DEPTH_ZERO_SELF_SIGNED_CERT/,
    hint: /NODE_EXTRA_CA_CERTS/,
  })
  assert.equal(registry.connections(), 1)
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
    const transport = new Transport({ registry: "https://models.acme.example" })
    await assert.rejects(transport.retrying(task), { code: "UNAVAILABLE" })
    assert.equal(tries, 1)
  })
}
