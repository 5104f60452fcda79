/**
 * A witness that others wrote: torchwood's litewitness cosigns three growing checkpoints of our registry, our own policy is
 * satisfied by it, and torchwood's policy accepts the proofs in our bundles.
 */
import assert from "node:assert/strict"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type TestContext, test } from "node:test"

import {
  canonicalJson,
  formatEnvelope,
  type JsonObject,
  parseJson,
  signEnvelope,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { openWitnessed, parseWitnessPolicy } from "@weighlock/tlog"

import { blob, publishMany, vkeyOf } from "../faults/load.ts"
import { makeWorld, type Peer, startPeer, type World } from "../registry/support.ts"
import { tempFolder } from "../support/temp.ts"
import { buildTools, run } from "./go-code.ts"
import { startLitewitness } from "./litewitness.ts"

/** The same trust root, with this policy over its log, signed anew. */
async function withPolicy(world: World, policy: string): Promise<void> {
  const { payload } = JSON.parse(readFileSync(world.trust, "utf8")) as { payload: string }
  const root = parseJson(Buffer.from(payload, "base64")) as JsonObject
  const changed = canonicalJson({ ...root, log: { ...(root["log"] as JsonObject), policy } })
  const envelope = await signEnvelope({ payloadType: trustRootPayloadType, payload: changed }, [world.signer])
  writeFileSync(world.trust, formatEnvelope(envelope))
}

async function until<T>(ms: number, attempt: () => Promise<T | null>): Promise<T> {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const found = await attempt()
    if (found !== null) return found
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`not within ${ms} ms`)
}

async function witnessedCheckpoint(peer: Peer, policy: string, size: number): Promise<string> {
  const log = { origin: "models.acme.example/log", vkeys: [vkeyOf(peer.world)], policy: parseWitnessPolicy(policy) }
  return await until(15_000, async () => {
    const note = (await peer.call("GET", "/log/checkpoint")).bytes.toString()
    const { checkpoint, quorum, freshness } = openWitnessed(note, log)
    if (!quorum || checkpoint.size !== size) return null
    assert.ok(freshness !== null && Math.abs(freshness - Date.now() / 1000) < 60)
    return note
  })
}

interface Proven {
  readonly entry: string
  readonly proof: string
}

test("litewitness cosigns three growing checkpoints", { timeout: 300_000 }, async (t: TestContext) => {
  const folder = tempFolder(t)
  const tools = await buildTools(t, folder)
  if (tools === null) return t.skip("not checked: no litewitness")
  const witness = await startLitewitness(t, tools, folder)
  const policy = `witness w1 ${witness.vkey} ${witness.url}\nquorum w1\n`
  const world = await makeWorld(t)
  await withPolicy(world, policy)
  witness.addLog(vkeyOf(world))
  const peer = await startPeer(t, { witness: { mode: "require" } } as object, world)
  await peer.upload(blob)
  const policyFile = join(folder, "policy")
  writeFileSync(policyFile, `log ${vkeyOf(world)}\n${policy}`)
  for (const size of [3, 300, 700]) {
    const before = size === 3 ? 2 : size === 300 ? 3 : 300
    await publishMany(peer, { world, inFlight: 32 }, before, size - before)
    await witnessedCheckpoint(peer, policy, size)
    const bundle = await until(5000, async () => {
      const { json } = await peer.call("GET", `/api/v1/models/acme/mnist/versions/0.0.${size - 1}`)
      const { entry, proof } = json as unknown as Proven
      return proof.includes("— witness.example/w1 ") ? { entry, proof } : null
    })
    const [entry, proof] = [join(folder, "leaf.json"), join(folder, "leaf.tlog-proof")]
    writeFileSync(entry, Buffer.from(bundle.entry, "base64"))
    writeFileSync(proof, bundle.proof)
    assert.equal(await run(tools.proof, [policyFile, entry, proof]), "")
    writeFileSync(entry, "another entry")
    await assert.rejects(run(tools.proof, [policyFile, entry, proof]), /inclusion proof verification failed/)
  }
})
