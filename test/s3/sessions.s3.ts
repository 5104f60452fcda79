/**
 * Credentials that run out, as machines in a cloud have them: a session's, from an address that the SDK asks, renewed before
 * they end. The sessions are real ones of the gateway (STS AssumeRole).
 */
import assert from "node:assert/strict"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { test, type TestContext } from "node:test"
import { setTimeout as pause } from "node:timers/promises"

import { fetchModel } from "@weighlock/client"
import { parseS3Place, probeBucket } from "@weighlock/registry/s3"

import { sha256 } from "../registry/support.ts"
import { openShop, publishFiles, reference, smallFiles } from "../support/published.ts"
import type { Session } from "../support/rgw.ts"
import { codeOf } from "../support/temp.ts"
import { forThisFile, freshBucket, skip } from "./support.ts"

const server = forThisFile({ sessions: true })

interface Source {
  /** What it gives; `null`: nothing. */
  session: Session | null
  /** Until it says that they end, ms. The SDK renews what ends within some minutes. */
  life: number
}

/** As the agents of container services give credentials to what runs there; the SDK finds no others. */
async function credentialSource(t: TestContext, source: Source): Promise<void> {
  const agent = createServer((_, response) => {
    if (source.session === null) return void response.writeHead(500).end()
    const { accessKeyId, secretAccessKey, sessionToken } = source.session
    const Expiration = new Date(Date.now() + source.life).toISOString()
    const given = { AccessKeyId: accessKeyId, SecretAccessKey: secretAccessKey, Token: sessionToken, Expiration }
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(given))
  })
  await new Promise<void>((resolve) => agent.listen(0, "127.0.0.1", resolve))
  const kept = { ...process.env }
  delete process.env["AWS_ACCESS_KEY_ID"]
  delete process.env["AWS_SECRET_ACCESS_KEY"]
  const url = `http://127.0.0.1:${(agent.address() as AddressInfo).port}/credentials`
  process.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url
  t.after(() => {
    process.env = kept
    agent.close()
  })
}

const keyOf = (link: string): string | undefined => new URL(link).searchParams.get("X-Amz-Credential")?.split("/")[0]

test(
  "a registry in a role: publish, fetch and doctor, with its session in every grant and link",
  { skip },
  async (t) => {
    const session = await server().assumeRole()
    await credentialSource(t, { session, life: 900_000 })
    const store = await freshBucket(server())
    const shop = await openShop(t, { store })
    const files = { ...smallFiles(), "big.bin": Buffer.alloc(9 * 2 ** 20, 7) }
    await publishFiles(shop, files)
    const { files: fetched } = await fetchModel(reference, shop.options)
    assert.deepEqual(Buffer.from(fetched.get("big.bin")?.bytes ?? []), files["big.bin"])
    const blob = `${shop.peer.url}/api/v1/blobs/sha256/${sha256(files["big.bin"])}`
    const link = (await fetch(blob, { redirect: "manual" })).headers.get("location") ?? ""
    assert.equal(new URL(link).searchParams.get("X-Amz-Security-Token"), session.sessionToken)
    const problems = (await probeBucket(parseS3Place(store))).filter(({ state }) => state === "problem")
    assert.deepEqual(problems, [])
  },
)

test("a session is renewed before it ends; none to be had is UNAVAILABLE, and passes", { skip }, async (t) => {
  const [first, second] = [await server().assumeRole(), await server().assumeRole()]
  const source: Source = { session: first, life: 60_000 } // ends soon: the next call asks again
  await credentialSource(t, source)
  const shop = await openShop(t, { store: await freshBucket(server()) })
  const bytes = Buffer.alloc(100, 1)
  await publishFiles(shop, { "one.bin": bytes })
  const link = async (): Promise<string> => {
    const answer = await fetch(`${shop.peer.url}/api/v1/blobs/sha256/${sha256(bytes)}`, { redirect: "manual" })
    return answer.headers.get("location") ?? ""
  }
  assert.equal(keyOf(await link()), first.accessKeyId)
  Object.assign(source, { session: second, life: 3000 })
  for (let i = 0; i < 50 && keyOf(await link()) !== second.accessKeyId; i++) await pause(100)
  assert.equal(keyOf(await link()), second.accessKeyId)
  assert.ok((await fetchModel(reference, shop.options)).files.has("one.bin"))
  const publishTwo = async (): Promise<unknown> =>
    await publishFiles(shop, { "two.bin": Buffer.alloc(100, 2) }, { version: "2.0.0" })
  source.session = null
  await pause(3000) // until then the one that it has is used
  assert.equal(await codeOf(() => publishTwo()), "UNAVAILABLE")
  source.session = second
  await publishTwo()
})
