/** The registry says once where a file's bytes are; when a link has run out it is asked for another. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { test } from "node:test"
import { fetchModel } from "@weighlock/client"
import { type Exchange, made, startHostile } from "../support/hostile.ts"
import { hostileClient, reference, sharedShop, smallFiles } from "../support/published.ts"
import { codeOf } from "../support/temp.ts"

const name = "weights/big.bin"
/** Two parts. */
const shop = await sharedShop({ ...smallFiles(), [name]: randomBytes(9 * 2 ** 20) })
const isPart = ({ isBlob, headers }: Exchange): boolean => isBlob && headers.range !== undefined
const secondPart = "bytes=8388608-9437183"

/** A registry that sends its clients to a store for parts, which cuts its first answer, and takes a link when it `serves`. */
async function sending(t: Parameters<typeof hostileClient>[0], serves: (tries: number) => boolean) {
  const { options, proxy } = await hostileClient(t, shop)
  const store = await startHostile(t, shop.peer.url)
  let links = 0
  let tries = 0
  proxy.rule = (exchange) => {
    if (!isPart(exchange)) return null
    links += 1
    return made(307, "", { location: store.url + exchange.path })
  }
  store.rule = (exchange) => {
    if (exchange.headers.range !== secondPart) return null
    tries += 1
    if (tries === 1)
      return { ...exchange.answer, body: exchange.answer.body.subarray(0, 1000), then: "break", claims: 2 ** 20 }
    return serves(tries) ? null : made(403, "<Error><Code>AccessDenied</Code></Error>")
  }
  return { options, links: () => links, tries: () => tries }
}

test("a part that broke off is asked for again where it was, not at the registry", async (t) => {
  const { options, links, tries } = await sending(t, () => true)
  const { files } = await fetchModel(reference, options)
  assert.deepEqual(Buffer.from(files.get(name)?.bytes ?? []), shop.files[name])
  assert.deepEqual([links(), tries()], [2, 2])
})

test("a link that has run out: the registry gives another", async (t) => {
  const { options, links, tries } = await sending(t, (tries) => tries > 2)
  const { files } = await fetchModel(reference, options)
  assert.deepEqual(Buffer.from(files.get(name)?.bytes ?? []), shop.files[name])
  assert.deepEqual([links(), tries()], [3, 3])
})

test("a store that takes no link is an end, not a loop", async (t) => {
  const { options, tries } = await sending(t, () => false)
  assert.equal(await codeOf(() => fetchModel(reference, options)), "FORBIDDEN")
  assert.equal(tries(), 3)
})
