/** Started without a registry: from what this machine has verified and kept, and from nothing else. */
import assert from "node:assert/strict"
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { dirname, join } from "node:path"
import { suite, test } from "node:test"
import { type ClientOptions, fetchModel, pullModel } from "@weighlock/client"
import { canonicalJson, formatTime, type JsonObject, parseJson, sha256Hex } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import { issue, pemOf } from "../support/certificate.ts"
import { type Answer, flipByte, made, type Rule } from "../support/hostile.ts"
import { hostileClient, model, publishFiles, reference, sharedShop, tree } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"

const shop = await sharedShop()
const second = `${model}@2.0.0`
await publishFiles(shop, shop.files, { version: "2.0.0", metadata: { note: "the same files" } })

/** A port where nobody listens. */
const nobody = "http://127.0.0.1:1"

/** The paths of the views of one version. */
function viewsOf({ state = "" }: ClientOptions, version = "1.0.0"): string[] {
  const found = tree(join(state, "kept")).filter((path) => path.includes(`/${version}@`) && path.endsWith(".view"))
  return found.map((path) => join(state, "kept", path))
}

function viewOf(options: ClientOptions): string {
  const [path, ...more] = viewsOf(options)
  assert.equal(more.length, 0)
  return path ?? assert.fail("no view was kept")
}

/** As if it had been verified that long ago; under the name that it would have had then. */
function age(options: ClientOptions, seconds: number): void {
  const path = viewOf(options)
  const verifiedAt = new Date(1000 * Math.floor(Date.now() / 1000 - seconds))
  const view = parseJson(readFileSync(path)) as JsonObject
  writeFileSync(path, canonicalJson({ ...view, verifiedAt: formatTime(verifiedAt) }))
  const name = `${path.slice(-34, -17)}${String(verifiedAt.getTime() / 1000).padStart(12, "0")}.view`
  renameSync(path, join(dirname(path), name))
}

test("a registry that is gone: by version, by digest, by pin, into memory and into a folder; and how old the view is", async (t) => {
  const { options, folder } = await hostileClient(t, shop)
  const before = Math.floor(Date.now() / 1000)
  const asked = await fetchModel(reference, options)
  assert.deepEqual([asked.view.from, asked.view.clock], ["registry", "local"])
  const gone = { ...options, registry: nobody }
  const pin = `sha256:${readdirSync(join(options.state, "kept"))[0]}`
  for (const [wanted, trust] of [
    [reference, options.trust],
    [`${model}@sha256:${asked.manifest.digest}`, options.trust],
    [reference, pin],
  ] as const) {
    const found = await fetchModel(wanted, { ...gone, trust, offline: wanted !== reference })
    const { from, clock, asOf, because = "" } = found.view
    assert.deepEqual([from, clock, found.manifest.digest], ["kept", "local", asked.manifest.digest])
    assert.ok((asOf?.getTime() ?? 0) / 1000 >= before && (asOf?.getTime() ?? Infinity) <= Date.now(), String(asOf))
    assert.match(because, wanted === reference ? /ECONNREFUSED/ : /offline/)
    for (const [name, bytes] of Object.entries(shop.files))
      assert.equal(sha256Hex(found.files.get(name)?.bytes ?? new Uint8Array(1)), sha256Hex(bytes))
  }
  const pulled = await pullModel(reference, join(folder, "out"), { ...gone, offline: true })
  assert.deepEqual(await hashFolder(join(folder, "out")), pulled.manifest.resources)
  await assert.rejects(fetchModel(second, gone), { code: "UNAVAILABLE", message: /nothing was kept of it/ })
})

test("--offline asks nobody, and a pin's trust root is the kept one", async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  const { offline, ...online } = { ...options, offline: true }
  await assert.rejects(fetchModel(reference, { ...online, offline }), { code: "UNAVAILABLE", message: /offline/ })
  await fetchModel(reference, online)
  const pin = `sha256:${readdirSync(join(options.state, "kept"))[0]}`
  const asked = proxy.seen.length
  assert.equal((await fetchModel(reference, { ...online, offline, trust: pin })).view.from, "kept")
  assert.equal((await fetchModel(reference, { ...online, offline })).view.from, "kept")
  // Neither does a file that is missing make it ask.
  rmSync(options.cache, { recursive: true })
  const absent = { code: "UNAVAILABLE", message: /offline, and empty\.txt and 2 more files are not in the cache/ }
  await assert.rejects(fetchModel(reference, { ...online, offline }), absent)
  assert.equal(proxy.seen.length, asked)
})

const onVersion =
  (answer: Answer): Rule =>
  ({ path }) =>
    path.includes("/versions/") ? answer : null
const problem = (status: number, code: string): Answer =>
  made(status, { code, status, title: code }, { "content-type": "application/problem+json" })

suite("what a registry or a gateway answers", { concurrency: 8 }, () => {
  for (const [what, code, answer] of [
    ["401", "UNAUTHENTICATED", problem(401, "UNAUTHENTICATED")],
    ["403", "FORBIDDEN", problem(403, "FORBIDDEN")],
    ["404", "NOT_FOUND", problem(404, "NOT_FOUND")],
    ["409", "CONFLICT", made(409)],
    ["500", "UNAVAILABLE", made(500)],
    ["another form", "MANIFEST_INVALID", made(200, "{}")],
    ["a web page", "PROTOCOL", made(200, "<html>")],
    ["a redirect", "PROTOCOL", made(302, "", { location: "http://127.0.0.1:1/" })],
    ["502", null, made(502, "<html>")],
    ["503", null, made(503)],
    ["504", null, made(504)],
    ["503 of the registry", null, problem(503, "UNAVAILABLE")],
    ["half of it", null, { ...made(200, '{"entry":'), claims: 5000, then: "break" }],
  ] as const)
    test(`${what}: ${code === null ? "the kept view does" : `${code} is final`}`, { timeout: 120_000 }, async (t) => {
      const { options, proxy } = await hostileClient(t, shop)
      await fetchModel(reference, options)
      proxy.rule = onVersion(answer)
      if (code === null) assert.equal((await fetchModel(reference, options)).view.from, "kept")
      else assert.equal(await codeOf(() => fetchModel(reference, options)), code)
    })

  test("a proof that does not hold is LOG_INVALID, and final", async (t) => {
    const { options, proxy } = await hostileClient(t, shop)
    await fetchModel(reference, options)
    proxy.rule = ({ answer, path }) =>
      path.includes("/versions/")
        ? { ...answer, body: Buffer.from(String(answer.body).replace(/index \d+/, "index 1")) }
        : null
    assert.equal(await codeOf(() => fetchModel(reference, options)), "LOG_INVALID")
  })

  test(
    "another certificate is an answer; a handshake that never ends in one is none",
    { timeout: 120_000 },
    async (t) => {
      const { options } = await hostileClient(t, shop)
      await fetchModel(reference, options)
      const own = issue({ subject: "localhost", names: ["localhost"], purposes: null })
      const server = createServer({ cert: pemOf(own), key: own.key.export({ type: "pkcs8", format: "pem" }) }).listen(
        0,
        "127.0.0.1",
      )
      await new Promise((resolve) => server.once("listening", resolve))
      t.after(() => server.close())
      const { port } = server.address() as AddressInfo
      const elsewhere = { ...options, registry: `https://localhost:${port}` }
      await assert.rejects(fetchModel(reference, elsewhere), { code: "UNAVAILABLE", message: /SELF_SIGNED/ })
      // A server that speaks HTTP there has no certificate to show.
      const plain = { ...options, registry: options.registry.replace("http:", "https:") }
      assert.equal((await fetchModel(reference, plain)).view.from, "kept")
      const nowhere = { ...options, registry: "https://registry.invalid" }
      assert.equal((await fetchModel(reference, nowhere)).view.from, "kept")
    },
  )
})

test("the cache is still not believed, and the registry is asked for what is wrong", async (t) => {
  const { options } = await hostileClient(t, shop)
  const { manifest } = await fetchModel(reference, options)
  const digest = manifest.resources.find(({ name }) => name === "model.json")?.digest ?? assert.fail()
  const entry = join(options.cache, "blobs", "sha256", digest.slice(0, 2), digest)
  writeFileSync(entry, flipByte(readFileSync(entry), 3))
  const wrong = { code: "UNAVAILABLE", message: /model\.json is not in the cache as signed/ }
  await assert.rejects(fetchModel(reference, { ...options, offline: true }), wrong)
  await fetchModel(reference, options)
  await fetchModel(reference, { ...options, offline: true })
})

suite("a view that somebody changed", () => {
  const changed: Record<string, readonly [string, (view: JsonObject) => unknown]> = {
    "no JSON": ["STATE_DAMAGED", () => "{"],
    "another kind": [
      "STATE_DAMAGED",
      (view) => ({ ...view, mediaType: "application/vnd.weighlock.kept-view.v2+json" }),
    ],
    "no trust root": ["STATE_DAMAGED", (view) => ({ ...view, trust: [] })],
    "a date of another form": ["STATE_DAMAGED", (view) => ({ ...view, verifiedAt: "yesterday" })],
    "a later date": ["STATE_DAMAGED", (view) => ({ ...view, verifiedAt: "2036-01-01T00:00:00Z" })],
    "an empty bundle": ["STATE_DAMAGED", (view) => ({ ...view, bundle: {} })],
    "another signature": [
      "SIGNATURE_INVALID",
      (view) => JSON.parse(JSON.stringify(view).replace(/(?<="sig":")./, (at) => (at === "B" ? "C" : "B"))) as object,
    ],
    "no proof": ["LOG_INVALID", ({ bundle, ...view }) => ({ ...view, bundle: { ...(bundle as object), proof: "" } })],
  }
  for (const [what, [code, change]] of Object.entries(changed))
    test(`${what}: ${code}, and the next contact makes it right`, async (t) => {
      const { options } = await hostileClient(t, shop)
      await fetchModel(reference, options)
      const path = viewOf(options)
      const made = change(parseJson(readFileSync(path)) as JsonObject)
      writeFileSync(path, typeof made === "string" ? made : canonicalJson(made as JsonObject))
      assert.equal(await codeOf(() => fetchModel(reference, { ...options, offline: true })), code)
      if (what === "a later date") return
      rmSync(path)
      await fetchModel(reference, options)
      await fetchModel(reference, { ...options, offline: true })
    })

  test("that of another version under this one's name is SUBJECT_MISMATCH", async (t) => {
    const { options } = await hostileClient(t, shop)
    await fetchModel(reference, options)
    await fetchModel(second, options)
    writeFileSync(viewOf(options), readFileSync(viewsOf(options, "2.0.0")[0] ?? ""))
    assert.equal(await codeOf(() => fetchModel(reference, { ...options, offline: true })), "SUBJECT_MISMATCH")
  })

  test("an older one that is put back is as old as it is, and the next contact replaces it", async (t) => {
    const { options } = await hostileClient(t, shop)
    await fetchModel(reference, options)
    age(options, 7200)
    const old = viewOf(options)
    const kept = `${options.state}-old`
    cpSync(old, kept)
    await fetchModel(reference, options)
    const newer = viewOf(options)
    assert.notEqual(newer, old)
    // Beside the newer one it is nothing; under its name it is no view; alone it tells its age.
    cpSync(kept, old)
    const offline = { ...options, offline: true, maxStaleness: 3600 }
    assert.equal((await fetchModel(reference, offline)).view.from, "kept")
    cpSync(kept, newer)
    assert.equal(await codeOf(() => fetchModel(reference, offline)), "STATE_DAMAGED")
    rmSync(newer)
    assert.equal(await codeOf(() => fetchModel(reference, offline)), "STALE")
    const { asOf } = (await fetchModel(reference, { ...options, offline: true })).view
    assert.ok(Math.abs(Date.now() - 7_200_000 - (asOf?.getTime() ?? 0)) < 60_000)
    await fetchModel(reference, options)
    assert.notEqual(viewOf(options), old)
    await fetchModel(reference, offline)
  })
})

test("--max-staleness bounds the age by this machine's clock, where no witness says; a date ahead is refused", async (t) => {
  const { options } = await hostileClient(t, shop)
  await fetchModel(reference, options)
  const within = (maxStaleness: number): Promise<string> =>
    codeOf(() => fetchModel(reference, { ...options, registry: nobody, offline: true, maxStaleness }))
  assert.equal(await within(60), "none")
  age(options, 100)
  assert.deepEqual([await within(60), await within(200)], ["STALE", "none"])
  age(options, -1000)
  assert.equal(await within(200), "STALE")
  // The clock was put right: what was kept under the wrong one does not stay for ever.
  await fetchModel(reference, options)
  assert.equal(await within(200), "none")
})

test("a trust root that has expired since: TRUST_EXPIRED", async (t) => {
  const { options } = await hostileClient(t, shop)
  await fetchModel(reference, options)
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 400 * 86_400_000 })
  assert.equal(await codeOf(() => fetchModel(reference, { ...options, offline: true })), "TRUST_EXPIRED")
})

test("a view that can't be kept fails nobody who has a registry", async (t) => {
  const { options } = await hostileClient(t, shop)
  mkdirSync(options.state, { recursive: true })
  writeFileSync(join(options.state, "kept"), "a file")
  const { view } = await fetchModel(reference, options)
  assert.match(view.notKept ?? "", /STATE|cannot use the kept views/)
  assert.equal(view.from, "registry")
})

test("an older proof of the same history, which a registry may give, takes the place of no newer one", async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  let older: Buffer | null = null
  proxy.rule = ({ answer, path }) => {
    if (path.endsWith("/versions/1.0.0")) older ??= answer.body
    return null
  }
  await fetchModel(reference, options)
  const first = viewOf(options)
  await publishFiles(shop, shop.files, { version: "9.0.0", metadata: { note: "the log has grown" } })
  await fetchModel(reference, options)
  const newer = viewOf(options)
  assert.ok(newer > first)
  const before = readFileSync(newer)
  proxy.rule = ({ path }) => (path.endsWith("/versions/1.0.0") && older !== null ? made(200, older) : null)
  await fetchModel(reference, options)
  assert.equal(viewOf(options), newer)
  assert.ok(readFileSync(newer).equals(before))
})
