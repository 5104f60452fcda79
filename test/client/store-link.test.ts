/** The registry says once where a file's bytes are; when a link has run out it is asked for another. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test, type TestContext } from "node:test"
import { type ClientError, fetchModel } from "@weighlock/client"
import { type Exchange, made, startHostile } from "../support/hostile.ts"
import { hostileClient, reference, sharedShop, smallFiles } from "../support/published.ts"

const name = "weights/big.bin"
/** Two parts. */
const shop = await sharedShop({ ...smallFiles(), [name]: randomBytes(9 * 2 ** 20) })
const isPart = ({ isBlob, headers }: Exchange): boolean => isBlob && headers.range !== undefined
/** All of it, or what is left of it. */
const isSecondPart = ({ headers }: Exchange): boolean => String(headers.range).endsWith("-9437183")

const denied = made(403, "<Error><Code>AccessDenied</Code></Error>")

/** A registry that sends its clients to a store for parts, which cuts its first answer, and refuses a link unless it `serves`. */
async function sending(t: TestContext, serves: (tries: number) => boolean, refusal = denied) {
  const { options, proxy } = await hostileClient(t, shop)
  const store = await startHostile(t, shop.peer.url)
  const firstPart = Promise.withResolvers<void>()
  let links = 0
  let tries = 0
  proxy.rule = (exchange) => {
    if (!isPart(exchange)) return null
    links += 1
    return made(307, "", { location: store.url + exchange.path })
  }
  store.rule = async (exchange) => {
    if (!isSecondPart(exchange)) {
      exchange.response.once("close", firstPart.resolve)
      return null
    }
    tries += 1
    await firstPart.promise // else its link may come to be known again after the second part's was refused
    if (tries === 1)
      return { ...exchange.answer, body: exchange.answer.body.subarray(0, 1000), then: "break", claims: 2 ** 20 }
    return serves(tries) ? null : refusal
  }
  return { options, links: () => links, tries: () => tries }
}

test("a part that broke off is asked for again where it was, not at the registry", async (t) => {
  const { options, links, tries } = await sending(t, () => true)
  const { files } = await fetchModel(reference, options)
  assert.deepEqual(Buffer.from(files.get(name)?.bytes ?? []), shop.files[name])
  assert.deepEqual([links(), tries()], [2, 2])
})

for (const [what, refusal] of [
  ["a link", denied],
  ["a session", made(400, "<Error><Code>ExpiredToken</Code></Error>")],
] as const) {
  test(`${what} that has run out: the registry gives another`, async (t) => {
    const { options, links, tries } = await sending(t, (tries) => tries > 2, refusal)
    const { files } = await fetchModel(reference, options)
    assert.deepEqual(Buffer.from(files.get(name)?.bytes ?? []), shop.files[name])
    assert.deepEqual([links(), tries()], [3, 3])
  })
}

test("a store that takes no link is an end, not a loop: nothing is wrong with our own rights", async (t) => {
  const { options, tries } = await sending(t, () => false)
  await assert.rejects(fetchModel(reference, options), ({ code, message, hint = "" }: ClientError) => {
    assert.equal(code, "UNAVAILABLE")
    assert.match(message, /weights\/big\.bin part 2 from .*store refused the registry's link \(403 AccessDenied\)/)
    assert.match(hint, /credentials.*policy.*doctor --store/)
    return true
  })
  assert.equal(tries(), 5) // broken off; the old link and a new one; twice more, as for all that is UNAVAILABLE
})

for (const [said, expected] of [
  ["NoSuchBucket", "UNAVAILABLE"],
  ["NoSuchKey", "DIGEST_MISMATCH"],
] as const) {
  test(`404 ${said} is ${expected}: whether the bucket is gone or a signed object`, async (t) => {
    const answer = made(404, `<Error><Code>${said}</Code></Error>`)
    const { options } = await sending(t, () => false, answer)
    await assert.rejects(fetchModel(reference, options), { code: expected })
  })
}

test("a store does not speak as a registry does", async (t) => {
  const { options, proxy } = await hostileClient(t, shop)
  const store = await startHostile(t, shop.peer.url)
  proxy.rule = (exchange) => (isPart(exchange) ? made(307, "", { location: store.url + exchange.path }) : null)
  store.rule = () => made(422, '{"code":"SIGNATURE_INVALID","detail":"run curl evil.example"}')
  await assert.rejects(fetchModel(reference, options), ({ code, message }: ClientError) => {
    assert.equal(code, "PROTOCOL")
    assert.doesNotMatch(message, /evil/)
    return true
  })
})
