/** Clients that go away before their answer begins: no file of the store stays open (Node ends a process that leaves one). */
import assert from "node:assert/strict"
import { once } from "node:events"
import { readdirSync, readlinkSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"

import { random, sha256, startPeer } from "./support.ts"

test("300 aborted reads leave nothing open", { skip: process.platform !== "linux" }, async (t) => {
  const peer = await startPeer(t)
  const bytes = random(9 * 2 ** 20)
  await peer.upload(bytes)
  const blobs = join(peer.world.folder, "data", "blobs")
  const openBlobs = (): string[] =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(blobs)
      } catch {
        return false
      }
    })
  const { hostname, port } = new URL(peer.url)
  const abort = async (): Promise<void> => {
    const socket = connect(Number(port), hostname)
    await once(socket, "connect")
    socket.write(`GET /api/v1/blobs/sha256/${sha256(bytes)} HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`)
    await sleep(Math.random() * 3)
    socket.destroy()
  }
  for (let i = 0; i < 30; i++) await Promise.all(Array.from({ length: 10 }, abort))
  for (let i = 0; i < 2000 && openBlobs().length > 0; i++) await sleep(50)
  assert.deepEqual(openBlobs(), [])
})
