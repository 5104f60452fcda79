/** A big blob goes in and out in flat memory: the registry's process grows by far less than the blob. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { spawn } from "node:child_process"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

import { Peer, describe, firstLine, makeWorld, random } from "./support.ts"
import { onlyThorough } from "../support/thorough.ts"

const size = 256 * 2 ** 20

const skip = onlyThorough || (process.platform !== "linux" && "not checked: /proc is needed to see memory")

test("256 MiB in and out", { skip }, async (t) => {
  const world = await makeWorld(t)
  const script = fileURLToPath(new URL("serve-child.ts", import.meta.url))
  const child = spawn(process.execPath, [script, join(world.folder, "data"), world.trust], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  t.after(() => child.kill("SIGKILL"))
  const line = await firstLine(child)
  const peer = new Peer(line, world, async () => undefined)
  const peak = async (): Promise<number> => {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8")
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024
  }
  await peer.upload(random(20 * 2 ** 20))
  const before = await peak()
  const chunk = random(2 ** 20)
  const bytes = Buffer.alloc(size)
  for (let at = 0; at < size; at += chunk.length) chunk.copy(bytes, at)
  const file = describe(bytes)
  const { json } = await peer.ask(file)
  const start = performance.now()
  await Promise.all(
    json.files[0].grants.map(({ part, url, headers }) => peer.call("PUT", url, { body: file.part(part), headers })),
  )
  assert.equal((await peer.call("POST", `/api/v1/uploads/${file.sha256}/complete`)).status, 200)
  const sent = performance.now()
  const hash = createHash("sha256")
  const response = await fetch(`${peer.url}/api/v1/blobs/sha256/${file.sha256}`)
  for await (const each of (response.body ?? []) as AsyncIterable<Uint8Array>) hash.update(each)
  assert.equal(hash.digest("hex"), file.sha256)
  const received = performance.now()
  const grown = (await peak()) - before
  t.diagnostic(
    `in ${Math.round(sent - start)} ms, out ${Math.round(received - sent)} ms, grew ${Math.round(grown)} MiB from ${Math.round(before)}`,
  )
  assert.ok(grown < 96, `grew by ${grown} MiB`)
})
