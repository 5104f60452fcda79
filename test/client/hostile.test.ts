/** Whatever stands between client and registry does to the answers: a code of ours, no byte believed, nothing left behind. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { suite, test } from "node:test"
import { fetchModel, listModels, listVersions, modelHistory, pullModel } from "@weighlock/client"
import { formatBundle, parseBundle, sha256Hex, signEnvelope } from "@weighlock/manifest"
import { type Answer, type Exchange, flipByte, made, type Rule, startHostile } from "../support/hostile.ts"
import {
  hostileClient,
  model,
  publishFiles,
  reference,
  sharedShop,
  type Shop,
  signFolder,
  smallFiles,
  tree,
} from "../support/published.ts"
import { codeOf } from "../support/temp.ts"
import { ed25519Signer } from "../support/trust.ts"
import { sample } from "../support/thorough.ts"

const small = await sharedShop(smallFiles())
/** Two parts. */
const large = await sharedShop({ ...smallFiles(), "weights/big.bin": randomBytes(9 * 2 ** 20) })
const big = large.files["weights/big.bin"] ?? Buffer.alloc(0)
/** Others of the same publisher: a newer version, and another model. */
await publishFiles(small, { "model.json": Buffer.from("new") }, { version: "1.1.0" })
await publishFiles(small, { "model.json": Buffer.from("other") }, { version: "1.1.0", model: "acme/other" })
const isRanged = ({ isBlob, headers }: Exchange): boolean => isBlob && headers.range !== undefined
const isWhole = ({ isBlob, headers, answer }: Exchange): boolean =>
  isBlob && headers.range === undefined && answer.body.length > 1000
const onBlob =
  (change: (exchange: Exchange) => Answer): Rule =>
  (exchange) =>
    isWhole(exchange) ? change(exchange) : null
const onRange =
  (change: (exchange: Exchange) => Answer): Rule =>
  (exchange) =>
    isRanged(exchange) ? change(exchange) : null
const sentTo = (location: string, status = 307): Rule => onBlob(() => made(status, "", { location }))
const grown = (body: Buffer, count = 1): Buffer => Buffer.concat([body, Buffer.alloc(count)])

type Case = readonly [why: string, code: string, shop: Shop, rule: Rule]
const blobs: Case[] = [
  ["one flipped byte", "DIGEST_MISMATCH", small, onBlob(({ answer }) => ({ ...answer, body: flipByte(answer.body) }))],
  [
    "the last bit flipped",
    "DIGEST_MISMATCH",
    small,
    onBlob(({ answer }) => ({ ...answer, body: flipByte(answer.body, answer.body.length - 1) })),
  ],
  ["one byte less", "DIGEST_MISMATCH", small, onBlob(({ answer }) => ({ ...answer, body: answer.body.subarray(1) }))],
  ["one byte more", "DIGEST_MISMATCH", small, onBlob(({ answer }) => ({ ...answer, body: grown(answer.body) }))],
  ["nothing", "DIGEST_MISMATCH", small, onBlob(({ answer }) => ({ ...answer, body: Buffer.alloc(0) }))],
  ["bytes without end", "DIGEST_MISMATCH", small, onBlob(({ answer }) => ({ ...answer, then: "flood" }))],
  ["an error page with status 200", "DIGEST_MISMATCH", small, onBlob(() => made(200, "<html>"))],
  [
    "gzip, which nobody asked for",
    "DIGEST_MISMATCH",
    small,
    onBlob(({ answer }) => ({
      ...answer,
      headers: { ...answer.headers, "content-encoding": "gzip" },
      body: Buffer.from("1f8b0800000000000003030000000000000000000a", "hex"),
    })),
  ],
  ["206 for the whole", "PROTOCOL", small, onBlob(({ answer }) => ({ ...answer, status: 206 }))],
  ["204", "PROTOCOL", small, onBlob(() => made(204))],
  ["304", "PROTOCOL", small, onBlob(() => made(304))],
  ["404", "DIGEST_MISMATCH", small, onBlob(() => made(404, { code: "NOT_FOUND" }))],
  ["401", "UNAUTHENTICATED", small, onBlob(() => made(401, "who?"))],
  ["418 with an unknown code", "PROTOCOL", small, onBlob(() => made(418, { code: "TEAPOT" }))],
  ["418 with the code __proto__", "PROTOCOL", small, onBlob(() => made(418, '{"code":"__proto__"}'))],
  [
    "a part with a flipped byte",
    "DIGEST_MISMATCH",
    large,
    onRange(({ answer }) => ({ ...answer, body: flipByte(answer.body) })),
  ],
  [
    "a part that is too short",
    "DIGEST_MISMATCH",
    large,
    onRange(({ answer }) => ({ ...answer, body: answer.body.subarray(0, -1) })),
  ],
  [
    "a part that is too long",
    "DIGEST_MISMATCH",
    large,
    onRange(({ answer }) => ({ ...answer, body: grown(answer.body) })),
  ],
  ["a part without end", "DIGEST_MISMATCH", large, onRange(({ answer }) => ({ ...answer, then: "flood" }))],
  ["200 instead of 206", "PROTOCOL", large, onRange(({ answer }) => ({ ...answer, status: 200 }))],
  [
    "another Content-Range",
    "PROTOCOL",
    large,
    onRange(({ answer }) => ({
      ...answer,
      headers: { ...answer.headers, "content-range": "bytes 1-8388608/9437184" },
    })),
  ],
  [
    "a Content-Range of another size",
    "DIGEST_MISMATCH",
    large,
    onRange(({ answer }) => ({
      ...answer,
      headers: { ...answer.headers, "content-range": "bytes 0-8388607/9999999999" },
    })),
  ],
  [
    "a Content-Range of unknown size",
    "PROTOCOL",
    large,
    onRange(({ answer }) => ({ ...answer, headers: { ...answer.headers, "content-range": "bytes 0-8388607/*" } })),
  ],
  ["no Content-Range", "PROTOCOL", large, onRange(({ answer: { status, body } }) => ({ status, headers: {}, body }))],
  ["416", "DIGEST_MISMATCH", large, onRange(() => made(416))],
  ["404 for a part", "DIGEST_MISMATCH", large, onRange(() => made(404, { code: "NOT_FOUND" }))],
  ["200 with nothing instead of a part", "DIGEST_MISMATCH", large, onRange(() => made(200))],
  ["404 with the code of a retry", "DIGEST_MISMATCH", small, onBlob(() => made(404, { code: "UNAVAILABLE" }))],
  ["a redirect to a private address", "STORE_REFUSED", small, sentTo("http://10.1.2.3/x")],
  ["a redirect to a private address over https", "STORE_REFUSED", small, sentTo("https://192.168.0.1/x")],
  ["a redirect to the cloud's metadata", "STORE_REFUSED", small, sentTo("http://169.254.169.254/latest/meta-data/")],
  ["a redirect to the same in one number", "STORE_REFUSED", small, sentTo("http://2852039166/")],
  ["a redirect to the same as IPv4 in IPv6", "STORE_REFUSED", small, sentTo("http://[::ffff:169.254.169.254]/")],
  ["a redirect to a private IPv6 address", "STORE_REFUSED", small, sentTo("http://[fd00::1]/")],
  ["a redirect to a link-local IPv6 address", "STORE_REFUSED", small, sentTo("https://[fe80::1]/")],
  ["a redirect to a file", "STORE_REFUSED", small, sentTo("file:///etc/passwd")],
  ["a redirect to ftp", "STORE_REFUSED", small, sentTo("ftp://127.0.0.1/x")],
  ["a redirect to data", "STORE_REFUSED", small, sentTo("data:,x")],
  ["a redirect with a user", "STORE_REFUSED", small, sentTo("http://user:pass@127.0.0.1/")],
  ["a relative redirect", "STORE_REFUSED", small, sentTo("/api/v1/info")],
  ["a redirect to nowhere", "STORE_REFUSED", small, onBlob(() => made(307))],
  ["301", "PROTOCOL", small, sentTo("http://127.0.0.1:1/", 301)],
  ["302", "PROTOCOL", small, sentTo("http://127.0.0.1:1/", 302)],
  ["308", "PROTOCOL", small, sentTo("http://127.0.0.1:1/", 308)],
]

suite("blobs", { concurrency: 12 }, () => {
  for (const [why, code, from, rule] of sample(blobs, 3)) {
    test(`fetch refused: ${why}`, async (t) => {
      const shop = await hostileClient(t, from)
      shop.proxy.rule = rule
      const target = join(shop.folder, "pulled")
      assert.equal(await codeOf(() => pullModel(reference, target, shop.options)), code)
      assert.equal(existsSync(target), false)
      assert.deepEqual(
        tree(shop.folder).filter((name) => /^\.pulled|^cache\/quarantine\/./.test(name)),
        [],
      )
      assert.ok(shop.proxy.sent < 2 ** 26, `took ${shop.proxy.sent} bytes`)
      shop.proxy.rule = () => null
      if (from === small) assert.equal((await fetchModel(reference, shop.options)).files.size, 3)
    })
  }
  test("fetch refused: redirected twice", async (t) => {
    const shop = await hostileClient(t, small)
    const there = `${shop.proxy.url}/api/v1/blobs/sha256/${"0".repeat(64)}`
    shop.proxy.rule = ({ isBlob }) => (isBlob ? made(307, "", { location: there }) : null)
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "PROTOCOL")
    assert.ok(
      shop.proxy.seen.filter(({ path }) => path.endsWith("0".repeat(64))).length <= Object.keys(small.files).length,
    )
  })
  for (const then of ["break", "end"] as const) {
    test(`fetch: a body cut short (${then}) once is asked again`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = (exchange) =>
        isWhole(exchange) && exchange.count === 1
          ? {
              ...exchange.answer,
              body: exchange.answer.body.subarray(0, 500),
              claims: exchange.answer.body.length,
              then,
            }
          : null
      assert.equal((await fetchModel(reference, shop.options)).files.size, 3)
    })
  }
  test("fetch: a body that always breaks off is UNAVAILABLE, after four tries", async (t) => {
    const shop = await hostileClient(t, small)
    shop.proxy.rule = ({ answer, isBlob }) =>
      isBlob && answer.body.length > 10
        ? { ...answer, claims: answer.body.length, body: answer.body.subarray(0, 10), then: "break" }
        : null
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "UNAVAILABLE")
    const tries = Map.groupBy(
      shop.proxy.seen.filter(({ isBlob }) => isBlob),
      ({ path }) => path,
    )
    assert.equal(Math.max(...[...tries.values()].map(({ length }) => length)), 4)
  })
  for (const status of sample([500, 502, 503, 429], 2)) {
    test(`fetch: ${status} once on every route, then fine`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = ({ count }) => (count === 1 ? made(status, "busy") : null)
      assert.equal((await fetchModel(reference, shop.options)).files.size, 3)
    })
  }
  test("fetch: only the part that was refused is asked again after a failure", async (t) => {
    const shop = await hostileClient(t, large)
    const isLast = (exchange: Omit<Exchange, "answer">): boolean =>
      exchange.headers.range?.startsWith("bytes=8388608") === true
    shop.proxy.rule = (exchange) =>
      isLast(exchange) ? { ...exchange.answer, body: flipByte(exchange.answer.body) } : null
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "DIGEST_MISMATCH")
    const before = shop.proxy.seen.length
    shop.proxy.rule = () => null
    await fetchModel(reference, shop.options)
    const again = shop.proxy.seen.slice(before).filter(({ headers }) => headers.range !== undefined)
    assert.deepEqual(
      again.map(({ headers }) => headers.range),
      ["bytes=8388608-9437183"],
    )
    assert.deepEqual(tree(join(shop.options.cache, "partial")), [])
  })
  test("fetch: five failures leave one partial file, not five", async (t) => {
    const shop = await hostileClient(t, large)
    shop.proxy.rule = onRange(({ answer }) => ({ ...answer, body: flipByte(answer.body) }))
    for (let i = 0; i < 5; i++) assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "DIGEST_MISMATCH")
    assert.ok(tree(join(shop.options.cache, "partial")).length <= 1)
  })
  test("fetch: a redirect to another store works, and the token stays with the registry", async (t) => {
    const shop = await hostileClient(t, large)
    const bucket = await startHostile(t, shop.peer.url)
    shop.proxy.rule = ({ isBlob, path }) => (isBlob ? made(307, "", { location: bucket.url + path }) : null)
    assert.equal((await fetchModel(reference, { ...shop.options, token: "s3cret" })).files.size, 4)
    assert.ok(bucket.seen.length >= 5)
    assert.ok(shop.proxy.seen.every(({ headers }) => headers.authorization === "Bearer s3cret"))
    assert.ok(
      bucket.seen.every(
        ({ headers }) => headers.authorization === undefined && !JSON.stringify(headers).includes("s3cret"),
      ),
    )
  })
  test("fetch: silence ends when the caller says so, at once, and leaves no half file", async (t) => {
    const shop = await hostileClient(t, large)
    shop.proxy.rule = onRange(({ answer }) => ({
      ...answer,
      claims: answer.body.length,
      body: answer.body.subarray(0, 9),
      then: "stall",
    }))
    const signal = AbortSignal.timeout(700)
    await assert.rejects(fetchModel(reference, { ...shop.options, signal }), (error) => error === signal.reason)
    assert.deepEqual(tree(join(shop.options.cache, "blobs")).filter((name) => !name.endsWith("/")).length <= 3, true)
  })
  test("fetch: parts of the right bytes but swapped are refused", async (t) => {
    const shop = await hostileClient(t, large)
    shop.proxy.rule = onRange(({ answer, headers }) => ({
      ...answer,
      body: headers.range?.startsWith("bytes=0-") ? big.subarray(2 ** 20, 2 ** 20 + 2 ** 23) : answer.body,
    }))
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "DIGEST_MISMATCH")
  })
})

const isBundle = ({ path }: Exchange): boolean => /\/versions\/|\/manifests\//.test(path)
const onBundle =
  (change: (exchange: Exchange) => Answer): Rule =>
  (exchange) =>
    isBundle(exchange) ? change(exchange) : null
const edited = (edit: (bundle: any) => void): Rule =>
  onBundle(({ answer }) => {
    const bundle = JSON.parse(answer.body.toString())
    edit(bundle)
    return { ...answer, body: Buffer.from(JSON.stringify(bundle)) }
  })
const answers: readonly (readonly [string, string, Rule])[] = [
  ["an HTML page", "PROTOCOL", onBundle(() => made(200, "<html>"))],
  ["nothing", "MANIFEST_INVALID", onBundle(() => made(200))],
  ["a list", "MANIFEST_INVALID", onBundle(() => made(200, "[]"))],
  [
    "a bare envelope",
    "MANIFEST_INVALID",
    onBundle(({ answer }) => made(200, JSON.parse(answer.body.toString()).envelope)),
  ],
  ["no signatures", "UNSIGNED", edited((bundle) => (bundle.envelope.signatures = []))],
  [
    "another signature",
    "SIGNATURE_INVALID",
    edited((bundle) => (bundle.envelope.signatures[0].sig = Buffer.alloc(64).toString("base64"))),
  ],
  ["an entry of a log", "LOG_INVALID", edited((bundle) => (bundle.entry = "e30="))],
  ["a proof of a log", "LOG_INVALID", edited((bundle) => (bundle.proof = "c2sp.org/tlog-proof@v1\n"))],
  ["a field of its own", "MANIFEST_INVALID", edited((bundle) => (bundle.verified = true))],
  [
    "a payload with other bytes",
    "SIGNATURE_INVALID",
    edited((bundle) => (bundle.envelope.payload = Buffer.from("{}").toString("base64"))),
  ],
  ["25 MiB", "TOO_LARGE", onBundle(() => made(200, Buffer.alloc(25 * 2 ** 20, 0x20)))],
  ["bytes without end", "TOO_LARGE", onBundle(({ answer }) => ({ ...answer, then: "flood" }))],
  ["a problem without end", "TOO_LARGE", onBundle(() => ({ ...made(404), then: "flood" }))],
  ["a redirect", "PROTOCOL", onBundle(() => made(307, "", { location: "http://127.0.0.1:1/" }))],
  ["a redirect to another host", "PROTOCOL", onBundle(() => made(302, "", { location: "https://evil.example/" }))],
]
suite("bundles", { concurrency: 12 }, () => {
  for (const [why, code, rule] of sample(answers, 2)) {
    test(`fetch refused: the registry answers with ${why}`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = rule
      assert.equal(await codeOf(() => fetchModel(reference, shop.options)), code)
      assert.equal(
        shop.proxy.seen.some(({ isBlob }) => isBlob),
        false,
      )
      assert.ok(shop.proxy.sent < 2 ** 27)
    })
  }
  const asked = `/api/v1/models/${model}/versions/1.1.0`
  for (const [why, other] of [
    ["an older version", `/api/v1/models/${model}/versions/1.0.0`],
    ["another model", "/api/v1/models/acme/other/versions/1.1.0"],
  ] as const) {
    test(`fetch refused: ${why}, validly signed, in place of the asked one`, async (t) => {
      const shop = await hostileClient(t, small)
      const body = Buffer.from(await (await fetch(shop.peer.url + other)).arrayBuffer())
      shop.proxy.rule = ({ path }) => (path === asked ? made(200, body) : null)
      assert.equal(await codeOf(() => fetchModel(`${model}@1.1.0`, shop.options)), "SUBJECT_MISMATCH")
    })
  }
  test("fetch refused: the same model re-signed by a stranger, alone or with the good key's id", async (t) => {
    const shop = await hostileClient(t, small)
    const stranger = ed25519Signer()
    const forged = await signFolder(shop.source, [stranger])
    const [own] = forged.signatures
    const keyid = shop.world.signer.publicKey.keyid
    const replies = {
      SIGNER_UNTRUSTED: forged,
      SIGNATURE_INVALID: { ...forged, signatures: [{ keyid, sig: own?.sig ?? new Uint8Array(64) }] },
    }
    for (const [code, envelope] of Object.entries(replies)) {
      shop.proxy.rule = onBundle(({ answer }) =>
        made(200, Buffer.from(formatBundle({ ...parseBundle(answer.body), envelope }))),
      )
      assert.equal(await codeOf(() => fetchModel(reference, shop.options)), code)
    }
  })
  for (const part of ["entry", "proof"] as const) {
    test(`fetch refused: a bundle without its ${part}: it is not logged`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = edited((bundle) => delete bundle[part])
      assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "LOG_INVALID")
    })
  }
  test("fetch refused: the entry and proof of another version of the same publisher", async (t) => {
    const shop = await hostileClient(t, small)
    const other = parseBundle(Buffer.from(await (await fetch(`${shop.peer.url}${asked}`)).arrayBuffer()))
    shop.proxy.rule = onBundle(({ answer }) =>
      made(200, Buffer.from(formatBundle({ ...other, envelope: parseBundle(answer.body).envelope }))),
    )
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "LOG_INVALID")
  })
  test("fetch refused: two answers for one request (by version one thing, by digest another)", async (t) => {
    const shop = await hostileClient(t, small)
    const { manifest } = await fetchModel(reference, shop.options)
    const newer = Buffer.from(await (await fetch(shop.peer.url + asked)).arrayBuffer())
    shop.proxy.rule = onBundle(() => made(200, newer))
    assert.equal(await codeOf(() => fetchModel(`${model}@sha256:${manifest.digest}`, shop.options)), "SUBJECT_MISMATCH")
  })
  test("trust refused: the registry answers a pin with a root of its own", async (t) => {
    const shop = await hostileClient(t, small)
    const evil = Buffer.from(await (await fetch(`${large.peer.url}/api/v1/trust/1`)).arrayBuffer())
    const real = parseBundle(Buffer.from(await (await fetch(`${shop.peer.url}/api/v1/trust/1`)).arrayBuffer()))
    shop.proxy.rule = ({ path }) => (path.startsWith("/api/v1/trust") ? made(200, evil) : null)
    const pin = `sha256:${sha256Hex(real.envelope.payload)}`
    assert.equal(await codeOf(() => fetchModel(reference, { ...shop.options, trust: pin })), "TRUST_PIN_MISMATCH")
  })
  test("what a hostile problem says reaches no terminal as control characters", async (t) => {
    const shop = await hostileClient(t, small)
    shop.proxy.rule = onBundle(() =>
      made(404, { detail: "\u001b]0;pwned\u0007\u202e\n", hint: "\u001b[2J", code: "NOT_FOUND" }),
    )
    await assert.rejects(fetchModel(reference, shop.options), (error: Error & { hint?: string }) => {
      assert.doesNotMatch(error.message + String(error.hint), /[\p{Cc}\p{Cf}]/u)
      return true
    })
  })
  test("fetch refused: a signature more than was logged, even one that nobody would count", async (t) => {
    const shop = await hostileClient(t, small)
    const bundle = parseBundle(
      Buffer.from(await (await fetch(`${shop.peer.url}/api/v1/models/${model}/versions/1.0.0`)).arrayBuffer()),
    )
    const envelope = await signEnvelope(bundle.envelope, [ed25519Signer()])
    shop.proxy.rule = onBundle(() => made(200, Buffer.from(formatBundle({ ...bundle, envelope }))))
    assert.equal(await codeOf(() => fetchModel(reference, shop.options)), "LOG_INVALID")
  })
})

suite("listings", { concurrency: 12 }, () => {
  const pages: readonly (readonly [string, string | object])[] = [
    ["no list", {}],
    ["a list of numbers", { models: [1] }],
    ["a name with an escape", { models: [{ model: "a\u001b[2J/b", versions: 1 }] }],
    ["the same page for ever", { models: [], next: "x" }],
    ["a next page that is another query", { models: [], next: "x&limit=0#" }],
    ["no JSON", "<html>"],
  ]
  for (const [why, page] of sample(pages, 2)) {
    test(`list refused: ${why}`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = () => made(200, page)
      assert.match(await codeOf(() => listModels(shop.options)), /^(?:PROTOCOL|MANIFEST_INVALID)$/)
    })
  }
  test("list refused: pages without end", { timeout: 300_000 }, async (t) => {
    const shop = await hostileClient(t, small)
    let page = 0
    shop.proxy.rule = () => made(200, { models: [{ model: "a/b", versions: 1 }], next: `p${page++}` })
    assert.match(
      await codeOf(() => listModels({ ...shop.options, signal: AbortSignal.timeout(15_000) })),
      /^(?:PROTOCOL|TOO_LARGE)$/,
    )
  })
  test("history refused: an empty page that says there is more", async (t) => {
    const shop = await hostileClient(t, small)
    shop.proxy.rule = ({ path, answer }) => {
      if (!path.includes("/history")) return null
      const page = JSON.parse(answer.body.toString()) as { entries: object[] }
      const [first] = page.entries
      const entries = path.includes("after=") || first === undefined ? [] : [first]
      return made(200, { ...page, entries, next: 0 })
    }
    assert.equal(await codeOf(() => modelHistory(model, shop.options)), "PROTOCOL")
    assert.equal(shop.proxy.seen.filter(({ path }) => path.includes("/history")).length, 2)
  })
  for (const bad of ["../..", "acme/mnist/../../info", "acme/mnist?x=", "acme"]) {
    test(`versions refused: of ${JSON.stringify(bad)}`, async (t) => {
      const shop = await hostileClient(t, small)
      assert.match(await codeOf(() => listVersions(bad, shop.options)), /^(?:MANIFEST_INVALID|USAGE)$/)
      assert.equal(shop.proxy.seen.length, 0)
    })
  }
})
