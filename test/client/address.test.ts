/** Where a client lets itself be sent, for registries that a test cannot start: public ones, over https. */
import assert from "node:assert/strict"
import type { LookupAddress } from "node:dns"
import { test } from "node:test"
import type { LookupFunction } from "node:net"

/** Not for everyone, so not exported by the package. */
interface Address {
  parseRegistryUrl(text: string): URL
  StorePolicy: new (
    registry: URL,
    allowed?: readonly string[],
  ) => { check(text: string): URL; lookupFor(url: URL): LookupFunction | undefined; isRegistry(url: URL): boolean }
}
const source = new URL("../../packages/client/src/address.ts", import.meta.url)
const { parseRegistryUrl, StorePolicy } = (await import(source.href)) as Address

const usage = { code: "USAGE" }
const refused = { code: "STORE_REFUSED" }
const badRegistries = [
  "",
  "models.acme.example",
  "ftp://a",
  "http://models.acme.example",
  "http://10.0.0.1",
  "http://0.0.0.0",
  "https://u:p@a.example",
]
badRegistries.push(
  "https://a.example/?q",
  "https://a.example/#x",
  "http://127.0.0.1.evil.example",
  "http://localhost.evil.example",
  "file:///x",
  "http://[::2]",
)
for (const bad of badRegistries)
  test(`registry refused: ${JSON.stringify(bad)}`, () => assert.throws(() => parseRegistryUrl(bad), usage))
for (const good of [
  "https://models.acme.example",
  "https://a.example:8443/base",
  "http://127.0.0.1:1",
  "http://localhost:8080",
  "http://[::1]:1/",
  "http://127.9.9.9",
]) {
  test(`registry: ${good}`, () => assert.ok(parseRegistryUrl(good).href.endsWith("/")))
}

const remote = new StorePolicy(parseRegistryUrl("https://models.acme.example"), ["minio.internal", "10.0.0.5:9000"])
const badStores = [
  "http://bucket.example/x",
  "http://127.0.0.1/x",
  "https://127.0.0.1/x",
  "https://localhost/x",
  "https://x.localhost/x",
  "https://[::1]/",
]
badStores.push(
  "https://10.0.0.1/",
  "https://172.31.255.255/",
  "https://192.168.1.1/",
  "https://169.254.169.254/",
  "https://100.64.0.1/",
  "https://0.0.0.0/",
)
badStores.push(
  "https://[::ffff:127.0.0.1]/",
  "https://[fd12::1]/",
  "https://[fe80::1]/",
  "https://[ff02::1]/",
  "https://[::]/",
  "https://0x7f.1/",
)
badStores.push(
  "https://2130706433/",
  "https://0177.0.0.1/",
  "https://127.1/",
  "https://u@bucket.example/",
  "ws://bucket.example/",
  "javascript:1",
  "//x",
  "",
)
badStores.push(
  "https://255.255.255.255/",
  "https://224.0.0.1/",
  "https://198.18.0.1/",
  "https://10.0.0.5/",
  "http://minio.internal/",
)
for (const bad of badStores)
  test(`store refused: ${JSON.stringify(bad)}`, () => assert.throws(() => remote.check(bad), refused))
for (const good of [
  "https://bucket.example/x?X-Amz-Signature=1",
  "https://8.8.8.8/",
  "https://minio.internal/x",
  "https://10.0.0.5:9000/x",
  "https://models.acme.example/x",
]) {
  test(`store: ${good}`, () => assert.equal(remote.check(good).href, good))
}
test("store: only the registry's own origin is the registry", () => {
  const is = (text: string): boolean => remote.isRegistry(new URL(text))
  assert.deepEqual(
    [
      "https://models.acme.example/y",
      "https://models.acme.example:444/",
      "http://models.acme.example/",
      "https://evil.models.acme.example/",
      "https://models.acme.example.evil.example/",
    ].map(is),
    [true, false, false, false, false],
  )
})
test("store refused: a public name that leads to a private address, when it is looked up", async () => {
  const lookup = remote.lookupFor(new URL("https://rebind.example/"))
  for (const host of ["localhost", "localhost."]) {
    for (const all of [true, false]) {
      const error = await new Promise<NodeJS.ErrnoException | null>((resolve) =>
        lookup?.(host, { all }, (failure: NodeJS.ErrnoException | null, _: string | LookupAddress[]) =>
          resolve(failure),
        ),
      )
      assert.ok(error !== null)
      if (error.code !== "ENOTFOUND" && error.code !== "EAI_AGAIN") assert.equal(error.code, "STORE_REFUSED")
    }
  }
})
test("store: with a registry on loopback, other loopback stores over http are fine, private ones are not", () => {
  const local = new StorePolicy(parseRegistryUrl("http://127.0.0.1:8080"))
  local.check("http://127.0.0.1:9000/x")
  local.check("http://localhost:9000/x")
  for (const bad of ["http://10.0.0.1/", "https://192.168.0.1/", "http://169.254.169.254/"])
    assert.throws(() => local.check(bad), refused)
})
