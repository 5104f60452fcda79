/** The head of an answer comes in two reads, as any network may send it. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { type AddressInfo, connect, createServer } from "node:net"
import { join } from "node:path"
import { test, type TestContext } from "node:test"

import { pullModel } from "@weighlock/client"
import { hashFolder } from "@weighlock/manifest/node"
import { hostileClient, reference, sharedShop } from "../support/published.ts"

const shop = await sharedShop({ "model.json": Buffer.from("{}"), "weights/big.bin": randomBytes(60 * 2 ** 20) })

/** A proxy before `target` that holds back the rest of each answer for a moment after its first `split` bytes. */
async function startSplitting(t: TestContext, target: string, split: number): Promise<string> {
  const { hostname, port } = new URL(target)
  const server = createServer((near) => {
    const far = connect(Number(port), hostname)
    for (const socket of [near, far]) socket.on("error", () => socket.destroy())
    near.on("close", () => far.destroy())
    far.on("close", () => near.destroy())
    let begins = true
    near.on("data", (question: Buffer) => {
      begins = true
      far.write(question.toString("latin1").replace(/^host: .*$/im, `host: ${hostname}:${port}`), "latin1")
    })
    far.on("data", (answer: Buffer) => {
      const rest = begins ? answer.subarray(split) : answer
      if (begins) near.write(answer.subarray(0, split))
      far.pause()
      const goOn = (): boolean => near.write(rest, () => far.resume())
      if (begins) setTimeout(goOn, 5)
      else goOn()
      begins = false
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

for (const split of [1, 60, 150, 250]) {
  test(`pull: heads of which ${split} bytes come first`, { timeout: 300_000 }, async (t) => {
    const { options, folder } = await hostileClient(t, shop)
    const registry = await startSplitting(t, shop.peer.url, split)
    const target = join(folder, "out")
    const { manifest } = await pullModel(reference, target, { ...options, registry })
    assert.deepEqual(await hashFolder(target), manifest.resources)
  })
}
