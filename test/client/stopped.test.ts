/** Whoever stops a request gets his own reason back, whatever it is, wherever the request was: as `fetch` does. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { mkdirSync, truncateSync, writeFileSync } from "node:fs"
import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { dirname, join } from "node:path"
import { test, type TestContext } from "node:test"
import { audit, Cache, ClientError, fetchFiles, fetchModel, listModels, monitorOnce } from "@weighlock/client"
import type { VerifiedManifest } from "@weighlock/manifest"
import { tempFolder } from "../support/temp.ts"
import { ed25519Signer, makeChain } from "../support/trust.ts"

const reasons: readonly unknown[] = [
  "enough",
  0,
  null,
  false,
  Symbol("enough"),
  { code: "UNAVAILABLE" },
  { code: "DIGEST_MISMATCH" },
  new Error("enough"),
  new ClientError("USAGE", "enough"),
  new ClientError("UNAVAILABLE", "enough"),
]

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function reasonOf(run: () => Promise<unknown>): Promise<unknown> {
  return await run().then(
    () => assert.fail("it came to its end"),
    (reason: unknown) => reason,
  )
}

const chain = await makeChain([ed25519Signer()])

type Ask = (url: string, trust: string, home: string, signal: AbortSignal) => Promise<unknown>
const asked: Record<string, Ask> = {
  audit: (url, trust, state, signal) => audit({ source: { kind: "registry", url }, trust, state, signal }),
  monitor: (url, trust, home, signal) =>
    monitorOnce({
      source: { kind: "registry", url },
      trust,
      cursor: join(home, "cursor"),
      owned: ["acme/*"],
      deliver: () => Promise.resolve(),
      signal,
    }),
  "audit under a pin": (url, _, state, signal) =>
    audit({ source: { kind: "registry", url }, trust: `sha256:${chain.current.digest}`, state, signal }),
  fetch: (registry, trust, home, signal) =>
    fetchModel("acme/mnist@1.0.0", { registry, trust, state: home, cache: join(home, "cache"), signal }),
  list: (registry, trust, home, signal) => listModels({ registry, trust, state: home, signal }),
}
for (const [what, ask] of Object.entries(asked)) {
  for (const then of ["never answers", "never ends its answer"] as const) {
    test(`${what}, of a registry that ${then}`, async (t) => {
      for (const reason of reasons) {
        const stop = new AbortController()
        const url = await serve(t, (_, response) => {
          if (then === "never ends its answer") response.writeHead(200).write("{")
          setTimeout(() => stop.abort(reason), 20)
        })
        const home = tempFolder(t)
        const trust = join(home, "trust.json")
        writeFileSync(trust, chain.envelopes[0] ?? "")
        assert.equal(await reasonOf(() => ask(url, trust, home, stop.signal)), reason)
      }
    })
  }
}

const own = async (name: string): Promise<Record<string, unknown>> =>
  (await import(new URL(`../../packages/client/src/${name}`, import.meta.url).href)) as Record<string, unknown>

test("a publish that waits for a registry which is still reading back what it was sent", async (t) => {
  const { Transport } = (await own("transport.ts")) as { Transport: new (options: object) => object }
  const { uploadMissing } = (await own("upload.ts")) as { uploadMissing: (...args: unknown[]) => Promise<void> }
  for (const reason of reasons) {
    const stop = new AbortController()
    const sha256 = "ab".repeat(32)
    let rounds = 0
    const registry = await serve(t, (_, response) => {
      response.end(JSON.stringify({ files: [{ sha256, state: "proving", grants: [] }] }))
      if (++rounds === 3) response.once("close", () => setImmediate(() => stop.abort(reason)))
    })
    const { signal } = stop
    const session = { transport: new Transport({ registry, signal }), signal, onProgress: () => undefined }
    const files = [{ resource: { name: "w", size: 1, digest: sha256 }, path: "w" }]
    assert.equal(await reasonOf(() => uploadMissing(session, files)), reason)
  }
})

test("a registry that reads back for ever: after ten minutes it is said what is known", async (t) => {
  const { Transport } = (await own("transport.ts")) as { Transport: new (options: object) => object }
  const { uploadMissing } = (await own("upload.ts")) as { uploadMissing: (...args: unknown[]) => Promise<void> }
  const sha256 = "ab".repeat(32)
  const clock = performance.now.bind(performance)
  let minutes = 0
  t.mock.method(performance, "now", () => clock() + 60_000 * minutes)
  const registry = await serve(t, (_, response) => {
    minutes += 3 // it takes its time for each answer
    response.end(JSON.stringify({ files: [{ sha256, state: "proving", grants: [] }] }))
  })
  const session = { transport: new Transport({ registry }), onProgress: () => undefined }
  const files = [{ resource: { name: "weights.bin", size: 1, digest: sha256 }, path: "w" }]
  await assert.rejects(uploadMissing(session, files), {
    code: "UNAVAILABLE",
    message: "the registry has been reading back weights.bin for 10 minutes and does not come to an end",
    hint: /no version was bound; publish again/,
  })
  assert.equal(minutes, 12)
})

test("a large file is read from the cache: not to its end", async (t) => {
  const [size, folder] = [2 ** 26, tempFolder(t)]
  const digest = createHash("sha256").update(Buffer.alloc(size)).digest("hex")
  const path = (await Cache.open(folder)).pathOf(digest)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, "")
  truncateSync(path, size)
  const manifest = { resources: [{ name: "w", size, digest }] } as unknown as VerifiedManifest
  const known = { manifest, view: { from: "registry", asOf: null, clock: null } } as const
  const options = { cache: folder, trust: "not read" }
  assert.equal((await fetchFiles(known, options)).files.size, 1)
  const [stop, reason] = [new AbortController(), new Error("enough")]
  let looked = 0
  // Looked at before the file, and then for the file: from there on whoever reads has it.
  const stopped = {
    ...options,
    get signal(): AbortSignal {
      if (++looked === 2) stop.abort(reason)
      return stop.signal
    },
  }
  assert.equal(await reasonOf(() => fetchFiles(known, stopped)), reason)
})
