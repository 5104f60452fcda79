/** A bundle is kept while it would be made the same again, and no longer. */
import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBundle } from "@weighlock/manifest"
import { RecentBundles, Served } from "@weighlock/registry"
import { parseProof } from "@weighlock/tlog"

import { random, signed, startPeer } from "./support.ts"

const root = new Uint8Array(32)
const checkpoint = (size: number) => ({ size, root, note: `log\n${size}\n`, at: 0 })

function counted(served: Served, bytes = 10) {
  const recent = new RecentBundles(served)
  let made = 0
  const ask = (name: string, index = 2) =>
    recent.get(name, async () => ({
      index,
      bundle: async () => {
        made += 1
        return new Uint8Array(bytes)
      },
    }))
  return { ask, made: () => made }
}

test("the same again is not made again, until there is a newer checkpoint", async () => {
  const served = new Served("degrade", false, checkpoint(5), null)
  const { ask, made } = counted(served)
  const first = await ask("a")
  assert.equal(await ask("a"), first)
  assert.equal(made(), 1)
  served.publish(checkpoint(6))
  assert.notEqual(await ask("a"), first)
  await ask("a")
  assert.equal(made(), 2)
  await ask("b")
  assert.equal(made(), 3)
})

test("a cosignature makes another bundle, and so does a quorum", async () => {
  const served = new Served("require", true, checkpoint(5), null)
  const { ask, made } = counted(served)
  await ask("a")
  served.publish({ ...checkpoint(5), note: "log\n5\n\n— witness\n" })
  await ask("a")
  assert.equal(made(), 2)
})

test("memory is bounded: the least recently used goes first, and a large one is not kept", async () => {
  const served = new Served("degrade", false, checkpoint(5), null)
  const { ask, made } = counted(served, 2 ** 20)
  for (let i = 0; i < 64; i++) await ask(`${i}`)
  await ask("0")
  assert.equal(made(), 64)
  await ask("64") // in the place of 1
  await ask("0")
  assert.equal(made(), 65)
  await ask("1")
  assert.equal(made(), 66)
  const large = counted(served, 2 ** 20 + 1)
  await large.ask("a")
  await large.ask("a")
  assert.equal(large.made(), 2)
})

test("what fails is asked for again", async () => {
  const recent = new RecentBundles(new Served("degrade", false, checkpoint(5), null))
  await assert.rejects(recent.get("a", async () => Promise.reject(new Error("gone"))))
  assert.equal((await recent.get("a", async () => ({ index: 2, bundle: async () => root }))).length, 32)
})

test("over HTTP: each bundle is proven under the newest checkpoint, however often it was asked for", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  await peer.upload(bytes)
  const sizes: string[] = []
  for (const version of ["1.0.0", "1.0.1", "1.0.2"]) {
    await peer.publish(await signed(peer.world, [bytes], { version }))
    for (let again = 0; again < 2; again++) {
      const answer = await peer.call("GET", "/api/v1/models/acme/mnist/versions/1.0.0")
      sizes.push(parseProof(parseBundle(answer.bytes).proof ?? "").checkpoint.split("\n")[1] ?? "")
    }
  }
  assert.deepEqual(sizes, ["3", "3", "4", "4", "5", "5"])
})
