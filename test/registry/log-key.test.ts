/** Who signs the log: the file that init made, or a program that is asked for each checkpoint. */
import assert from "node:assert/strict"
import { chmod, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"

import { openTrustChain } from "@weighlock/manifest"
import { openCheckpoint } from "@weighlock/tlog"

import { type World, makeWorld, random, signed, startPeer } from "./support.ts"

/** A program that signs with the world's key, changed as a test needs it. */
async function program(world: World, body: string): Promise<string> {
  const path = join(world.folder, "signer.mjs")
  const text = `#!${process.execPath}
import { createPrivateKey, sign } from "node:crypto"
import { readFileSync } from "node:fs"
const key = createPrivateKey(readFileSync(${JSON.stringify(join(world.folder, "log-key.pem"))}))
const message = readFileSync(0)
${body}
`
  await writeFile(path, text)
  await chmod(path, 0o700)
  return `exec:${path}`
}

const honest = "process.stdout.write(sign(null, message, key))"

test("a program signs every checkpoint, and what it signs is verified", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, { logKey: await program(world, honest) }, world)
  const bytes = random(10)
  await peer.upload(bytes)
  assert.equal((await peer.publish(await signed(world, [bytes]))).status, 201)
  const { log } = openTrustChain([await readFile(world.trust)], { by: "file" }).current
  const note = (await peer.call("GET", "/log/checkpoint")).bytes.toString()
  assert.equal(openCheckpoint(note, log).size, 3)
})

test("a program that fails refuses publishes for as long, and nothing is lost", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, { logKey: await program(world, honest) }, world)
  const bytes = random(10)
  await peer.upload(bytes)
  for (const body of [
    "process.exit(3)",
    "",
    "process.stdout.write(Buffer.alloc(64))",
    "process.stdout.write(Buffer.alloc(65))",
  ]) {
    await program(world, body)
    const reply = await peer.publish(await signed(world, [bytes]))
    assert.deepEqual([reply.status, reply.code], [503, "UNAVAILABLE"], body)
  }
  await program(world, honest)
  assert.equal((await peer.publish(await signed(world, [bytes]))).status, 201)
})

test("refused at start: a program that is not there, not absolute, silent, or signs with another key", async (t) => {
  const [world, other] = [await makeWorld(t), await makeWorld(t)]
  for (const logKey of [
    "exec:/nonexistent/signer",
    "exec:signer",
    "exec:",
    await program(world, ""),
    await program(other, honest),
  ]) {
    await assert.rejects(startPeer(t, { logKey }, world), { code: "USAGE" }, logKey)
  }
})
