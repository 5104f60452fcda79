/** Stores that close after each answer, say nothing of its length, or send it byte by byte: HTTP allows all of it. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { createServer, request as ask } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { test, type TestContext } from "node:test"

import { fetchModel, pullModel } from "@weighlock/client"
import { hashFolder } from "@weighlock/manifest/node"
import { hostileClient, reference, sharedShop } from "../support/published.ts"
import { randomBytes } from "node:crypto"
import { sample } from "../support/thorough.ts"

const shop = await sharedShop({ "model.json": Buffer.from("{}"), "weights/big.bin": randomBytes(60 * 2 ** 20) })

/** A proxy before `target`, with these headers instead of its own, that sends a body on in chunks of so many bytes. */
async function startFront(
  t: TestContext,
  target: string,
  { keep, chunk }: { keep: readonly string[]; chunk: (path: string) => number },
): Promise<string> {
  const server = createServer((request, response) => {
    const { hostname, port } = new URL(target)
    const { url: path = "/", method = "GET", headers } = request
    const onward = ask(
      { hostname, port, path, method, headers: { ...headers, host: `${hostname}:${port}` } },
      (answer) => {
        response.shouldKeepAlive = false
        const kept = Object.entries(answer.headers).filter(([name]) => keep.includes(name))
        response.writeHead(answer.statusCode ?? 502, { ...Object.fromEntries(kept), connection: "close" })
        const size = chunk(path)
        answer.on("data", (bytes: Buffer) => {
          for (let at = 0; at < bytes.length; at += size) response.write(bytes.subarray(at, at + size))
        })
        answer.on("end", () => response.end())
      },
    )
    onward.on("error", () => response.destroy())
    request.pipe(onward)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const ranged = ["content-type", "content-range", "etag"]
for (const [what, keep] of Object.entries({
  "closes after each answer": [...ranged, "content-length"],
  "closes after each answer, whose length nobody said": ranged,
})) {
  test(`pull: from a store that ${what}`, { timeout: 300_000 }, async (t) => {
    const { options, folder } = await hostileClient(t, shop)
    const registry = await startFront(t, shop.peer.url, { keep, chunk: () => 2 ** 16 })
    for (const name of sample(["one", "two", "three"], 3)) {
      const target = join(folder, name)
      const { manifest } = await pullModel(reference, target, {
        ...options,
        registry,
        cache: join(folder, `${name}.cache`),
      })
      assert.deepEqual(await hashFolder(target), manifest.resources)
    }
  })
}

const little = await sharedShop({ "model.json": Buffer.from("{}"), "weights/a.bin": randomBytes(2 ** 20) })
test("fetch: from a store that sends a few bytes at a time", { timeout: 300_000 }, async (t) => {
  const { options } = await hostileClient(t, little)
  const chunk = (path: string): number => (path.includes("/blobs/") ? 7 : 2 ** 16)
  const registry = await startFront(t, little.peer.url, { keep: ranged, chunk })
  const { files } = await fetchModel(reference, { ...options, registry })
  for (const [name, bytes] of Object.entries(little.files))
    assert.ok(Buffer.from(files.get(name)?.bytes ?? []).equals(bytes), name)
})
