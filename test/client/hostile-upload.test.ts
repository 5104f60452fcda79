/** Publishing through a hostile registry: grants that ask for too much, answers that never end, receipts for something else. */
import assert from "node:assert/strict"
import { after, suite, test, type TestContext } from "node:test"
import { type ClientOptions, publishModel } from "@weighlock/client"
import type { Envelope } from "@weighlock/manifest"
import { type Exchange, type Hostile, made, type Rule, startHostile } from "../support/hostile.ts"
import { openShop, type Shop, signFolder, writeFiles } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"
import { sample } from "../support/thorough.ts"

interface Publishing {
  readonly shop: Omit<Shop, "files">
  readonly proxy: Hostile
  readonly envelope: Envelope
  readonly options: ClientOptions
}

const open = async (t: TestContext): Promise<Omit<Shop, "files">> => {
  const shop = await openShop(t)
  writeFiles(shop.source, { "model.json": Buffer.from("{}"), "weights.bin": Buffer.alloc(50_000, 7) })
  return shop
}
/** For tests in which nothing is ever uploaded. */
const untouched = await open({ after } as unknown as TestContext)
const signed = await signFolder(untouched.source, [untouched.world.signer])

async function prepare(t: TestContext, rule: Rule, own?: Omit<Shop, "files">): Promise<Publishing> {
  const shop = own ?? (await open(t))
  const proxy = await startHostile(t, shop.peer.url, rule)
  const envelope = own === undefined ? await signFolder(shop.source, [shop.world.signer]) : signed
  return { shop, proxy, envelope, options: { ...shop.options, registry: proxy.url, token: "s3cret" } }
}

type Any = any // answers to break
const isAsk = ({ path, method }: Exchange): boolean => method === "POST" && path === "/api/v1/uploads"
const isPublish = ({ path, method }: Exchange): boolean => method === "POST" && path.endsWith("/versions")
/** Changes every grant of the first file that has one. */
const granting =
  (edit: (grant: Any, files: Any[]) => void): Rule =>
  (exchange) => {
    if (!isAsk(exchange)) return null
    const value: Any = JSON.parse(exchange.answer.body.toString())
    for (const { grants } of value.files) for (const grant of grants ?? []) edit(grant, value.files)
    return made(200, value)
  }
const header = (name: string, value = "x"): Rule => granting((grant) => (grant.headers[name] = value))
const at = (url: string): Rule => granting((grant) => (grant.url = url))

const cases: readonly (readonly [string, string, Rule])[] = [
  ["method GET", "PROTOCOL", granting((grant) => (grant.method = "GET"))],
  ["method POST", "PROTOCOL", granting((grant) => (grant.method = "POST"))],
  ["method DELETE", "PROTOCOL", granting((grant) => (grant.method = "DELETE"))],
  ["method put in lower case", "PROTOCOL", granting((grant) => (grant.method = "put"))],
  ["header host", "STORE_REFUSED", header("host", "internal.example")],
  ["header cookie", "STORE_REFUSED", header("cookie")],
  ["header content-length", "STORE_REFUSED", header("content-length", "0")],
  ["header transfer-encoding", "STORE_REFUSED", header("transfer-encoding", "chunked")],
  ["header x-forwarded-for", "STORE_REFUSED", header("x-forwarded-for")],
  ["header proxy-authorization", "STORE_REFUSED", header("proxy-authorization")],
  ["header expect", "STORE_REFUSED", header("expect", "100-continue")],
  ["header with a line break in its name", "STORE_REFUSED", header("x-amz-a\r\nhost")],
  ["header of a number", "PROTOCOL", granting((grant) => (grant.headers = { "content-type": 1 }))],
  ["headers as a list", "PROTOCOL", granting((grant) => (grant.headers = []))],
  ["part 0", "PROTOCOL", granting((grant) => (grant.part = 0))],
  ["part 2 of 1", "PROTOCOL", granting((grant) => (grant.part = 2))],
  ["part -1", "PROTOCOL", granting((grant) => (grant.part = -1))],
  ["part 1.5", "PROTOCOL", granting((grant) => (grant.part = 1.5))],
  ["part as text", "PROTOCOL", granting((grant) => (grant.part = "1"))],
  ["a private address", "STORE_REFUSED", at("http://10.0.0.1/x")],
  ["a private address over https", "STORE_REFUSED", at("https://172.16.0.1/x")],
  ["the cloud's metadata", "STORE_REFUSED", at("http://169.254.169.254/")],
  ["plain http on the internet", "STORE_REFUSED", at("http://[::ffff:a9fe:a9fe]/")],
  ["a file", "STORE_REFUSED", at("file:///etc/passwd")],
  ["a user in the URL", "STORE_REFUSED", at("http://a:b@127.0.0.1/")],
  ["no URL", "STORE_REFUSED", at("nowhere")],
  [
    "an unknown state",
    "PROTOCOL",
    (exchange) =>
      isAsk(exchange) ? made(200, exchange.answer.body.toString().replaceAll('"needed"', '"done"')) : null,
  ],
  ["no files", "PROTOCOL", (exchange) => (isAsk(exchange) ? made(200, {}) : null)],
  ["no JSON", "MANIFEST_INVALID", (exchange) => (isAsk(exchange) ? made(200, "{nothing}") : null)],
  ["a web page", "PROTOCOL", (exchange) => (isAsk(exchange) ? made(200, "<html>") : null)],
  ["duplicate keys", "MANIFEST_INVALID", (exchange) => (isAsk(exchange) ? made(200, '{"files":[],"files":[]}') : null)],
  [
    "a redirect of the question",
    "PROTOCOL",
    (exchange) => (isAsk(exchange) ? made(307, "", { location: "http://127.0.0.1:1/" }) : null),
  ],
]

suite("grants", { concurrency: 12 }, () => {
  for (const [why, code, rule] of sample(cases, 3)) {
    test(`publish refused: a grant or answer with ${why}`, async (t) => {
      const { shop, proxy, envelope, options } = await prepare(t, rule, untouched)
      assert.equal(await codeOf(() => publishModel(shop.source, envelope, options)), code)
      assert.equal(
        proxy.seen.some(({ path }) => path.endsWith("/versions")),
        false,
      )
    })
  }
  test("publish refused: a header value with a line break is never sent", async (t) => {
    const { shop, envelope, options } = await prepare(t, header("content-type", "a\r\nhost: evil"))
    assert.equal(await codeOf(() => publishModel(shop.source, envelope, options)), "PROTOCOL")
  })
  test("publish refused: a PUT that is redirected is not followed", async (t) => {
    const elsewhere = await startHostile(t, "http://127.0.0.1:1", () => made(200))
    const { shop, envelope, options, proxy } = await prepare(t, (exchange) =>
      exchange.method === "PUT" ? made(307, "", { location: `${elsewhere.url}/x` }) : granted(exchange),
    )
    const granted = granting((grant) => (grant.url = grant.url.replace(/^http:\/\/[^/]+/, proxy.url)))
    assert.equal(await codeOf(() => publishModel(shop.source, envelope, options)), "PROTOCOL")
    assert.equal(elsewhere.seen.length, 0)
  })
  test("publish: grants to another store get the bytes, but never the token", async (t) => {
    const { shop, proxy, envelope, options } = await prepare(t, () => null)
    const bucket = await startHostile(t, shop.peer.url)
    proxy.rule = granting((grant) => (grant.url = grant.url.replace(/^http:\/\/[^/]+/, bucket.url)))
    await publishModel(shop.source, envelope, options)
    assert.equal(bucket.seen.length, 2)
    assert.ok(
      bucket.seen.every(
        ({ headers, method }) =>
          method === "PUT" && headers.authorization === undefined && headers["weighlock-grant"] !== undefined,
      ),
    )
    assert.ok(proxy.seen.every(({ headers }) => headers.authorization === "Bearer s3cret"))
  })
  test("publish refused: a registry that never has enough", { timeout: 300_000 }, async (t) => {
    const { shop, proxy, envelope, options } = await prepare(t, () => null)
    let first: Any = null
    proxy.rule = (exchange) => {
      if (exchange.path.endsWith("/complete")) return made(200, { state: "present" })
      if (exchange.method === "PUT") return made(200)
      if (!isAsk(exchange)) return null
      first ??= JSON.parse(exchange.answer.body.toString().replaceAll(shop.peer.url, proxy.url))
      return made(200, first)
    }
    assert.equal(
      await codeOf(() => publishModel(shop.source, envelope, { ...options, signal: AbortSignal.timeout(15_000) })),
      "PROTOCOL",
    )
  })
  test("publish refused: a million grants for one part", { timeout: 300_000 }, async (t) => {
    const { shop, envelope, options } = await prepare(t, (exchange) => {
      if (!isAsk(exchange)) return null
      const value: Any = JSON.parse(exchange.answer.body.toString())
      for (const file of value.files) file.grants = Array.from({ length: 20_000 }, () => file.grants[0])
      return made(200, value)
    })
    assert.equal(await codeOf(() => publishModel(shop.source, envelope, options)), "PROTOCOL")
  })
  for (const count of [1, 2]) {
    test(`publish: 503 ${count} time(s) on every route, then fine`, async (t) => {
      const { shop, proxy, envelope, options } = await prepare(t, () => null)
      proxy.rule = (exchange) => (exchange.count <= count && !exchange.isBlob ? made(503) : null)
      assert.equal((await publishModel(shop.source, envelope, options)).manifest.version, "1.0.0")
    })
  }
  test("publish: an answer lost after the commit gives the same entry when asked again", async (t) => {
    const { shop, proxy, envelope, options } = await prepare(t, () => null)
    proxy.rule = (exchange) =>
      isPublish(exchange) && exchange.count === 1
        ? { ...exchange.answer, then: "break", claims: exchange.answer.body.length + 1 }
        : null
    const { created, manifest } = await publishModel(shop.source, envelope, options)
    assert.deepEqual([created, manifest.version], [false, "1.0.0"])
  })
})

const receipts: readonly (readonly [string, string, (exchange: Exchange) => ReturnType<typeof made>])[] = [
  ["nothing", "MANIFEST_INVALID", () => made(201)],
  ["just yes", "MANIFEST_INVALID", () => made(201, { ok: true })],
  ["a redirect", "PROTOCOL", () => made(303, "", { location: "/" })],
  [
    "a code of ours with a success word",
    "VERSION_EXISTS",
    () => made(409, { code: "VERSION_EXISTS", detail: "verified" }),
  ],
  [
    "no signatures",
    "UNSIGNED",
    ({ answer }) => made(201, answer.body.toString().replace(/"signatures":\[.*?\]/, '"signatures":[]')),
  ],
  [
    "a proof nobody can check",
    "LOG_INVALID",
    ({ answer }) => made(201, { ...JSON.parse(answer.body.toString()), proof: "x" }),
  ],
]
suite("receipts", { concurrency: 12 }, () => {
  for (const [why, code, answer] of sample(receipts, 2)) {
    test(`publish is no success: the receipt is ${why}`, async (t) => {
      const { shop, envelope, options } = await prepare(t, (exchange) =>
        isPublish(exchange) ? answer(exchange) : null,
      )
      assert.equal(await codeOf(() => publishModel(shop.source, envelope, options)), code)
    })
  }
  test("publish is no success: the receipt is for another version", async (t) => {
    const { shop, proxy, envelope, options } = await prepare(t, () => null)
    await publishModel(shop.source, envelope, options)
    const first = Buffer.from(
      await (await fetch(`${shop.peer.url}/api/v1/models/acme/mnist/versions/1.0.0`)).arrayBuffer(),
    )
    const next = await signFolder(shop.source, [shop.world.signer], { version: "1.1.0" })
    proxy.rule = (exchange) => (isPublish(exchange) ? made(201, first) : null)
    assert.equal(await codeOf(() => publishModel(shop.source, next, options)), "SUBJECT_MISMATCH")
  })
})
