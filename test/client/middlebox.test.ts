/** What stands between a client and its registry: its web pages and its compression are PROTOCOL, and say what to look at. */
import assert from "node:assert/strict"
import { suite, test } from "node:test"
import { gzipSync } from "node:zlib"
import { type ClientOptions, fetchModel, listModels, modelHistory, publishModel, showModel } from "@weighlock/client"
import { type Answer, type Exchange, made } from "../support/hostile.ts"
import { hostileClient, model, reference, sharedShop, signFolder } from "../support/published.ts"

const small = await sharedShop()
const html = { "content-type": "text/html; charset=utf-8" }
const page = "<!DOCTYPE html>\n<html><body>Please log in</body></html>"
const isJson = ({ answer }: Exchange): boolean => answer.headers["content-type"]?.startsWith("application/") === true

const boxes: Readonly<Record<string, readonly [(exchange: Exchange) => Answer | null, RegExp, RegExp]>> = {
  "a web page": [() => made(200, page, html), /: a web page is the answer/, /is this the registry's URL\?$/],
  "a web page that is called JSON": [
    () => made(200, page),
    /: a web page is the answer/,
    /is this the registry's URL\?$/,
  ],
  "an empty web page": [() => made(200, "", html), /: a web page is the answer/, /is this the registry's URL\?$/],
  compression: [
    (exchange) =>
      isJson(exchange) && exchange.answer.status < 300
        ? made(exchange.answer.status, gzipSync(exchange.answer.body), { "content-encoding": "gzip" })
        : null,
    /: the answer is compressed \(gzip\), which was not asked for$/,
    /^a proxy or gateway on the way/,
  ],
  "a redirect": [
    () => made(302, "", { location: "https://login.example/" }),
    /status 302/,
    /is this the registry's URL\?$/,
  ],
}
const reads: Readonly<Record<string, (options: ClientOptions) => Promise<unknown>>> = {
  list: listModels,
  show: async (options) => showModel(reference, options),
  fetch: async (options) => fetchModel(reference, options),
  history: async (options) => modelHistory(model, options),
}

suite("between client and registry", { concurrency: 4 }, () => {
  for (const [what, [rule, message, hint]] of Object.entries(boxes)) {
    test(`${what} is PROTOCOL, whatever is asked`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = rule
      for (const [name, read] of Object.entries(reads))
        await assert.rejects(read(shop.options), { code: "PROTOCOL", message, hint }, name)
      const envelope = await signFolder(shop.source, [shop.world.signer])
      await assert.rejects(publishModel(shop.source, envelope, shop.options), { code: "PROTOCOL", message, hint })
    })
  }
  test("a refusal that is a web page keeps the meaning of its status, and is called one", async (t) => {
    const shop = await hostileClient(t, small)
    for (const [status, code] of [
      [401, "UNAUTHENTICATED"],
      [403, "FORBIDDEN"],
      [404, "NOT_FOUND"],
    ] as const) {
      shop.proxy.rule = () => made(status, page, html)
      await assert.rejects(showModel(reference, shop.options), {
        code,
        message: / \(with a web page\)$/,
        hint: /is this the registry's URL\?$/,
      })
    }
  })
  test("identity is no compression", async (t) => {
    const shop = await hostileClient(t, small)
    shop.proxy.rule = ({ answer }) => ({ ...answer, headers: { ...answer.headers, "content-encoding": "identity" } })
    await showModel(reference, shop.options)
  })
})
