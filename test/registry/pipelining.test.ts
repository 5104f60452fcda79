/** Many requests on one connection, none of them waiting for an answer: so many are under way, and the others cost nothing. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { readdirSync, readlinkSync } from "node:fs"
import { writeFile } from "node:fs/promises"
import { type Socket, connect } from "node:net"
import { join } from "node:path"
import { type TestContext, test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"
import { connect as connectTls } from "node:tls"

import { type RegistryConfig, startWitness } from "@weighlock/registry"

import { issue, pemOf } from "../support/certificate.ts"
import { type Peer, makeWorld, quiet, random, sha256, startPeer } from "./support.ts"

const most = 64
/** That a client may have waiting all the time. */
const promised = 32
const size = 2 ** 20
const statuses = (bytes: Buffer): string[] =>
  [...bytes.toString("latin1").matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status = ""]) => status)
const get = (path: string, times: number): string => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`.repeat(times)

async function open(url: string): Promise<Socket> {
  const { hostname, port, protocol } = new URL(url)
  const socket =
    protocol === "https:"
      ? connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false })
      : connect(Number(port), hostname)
  await once(socket, protocol === "https:" ? "secureConnect" : "connect")
  return socket
}

async function tlsFiles(folder: string): Promise<{ cert: string; key: string }> {
  const [cert, key] = [join(folder, "cert.pem"), join(folder, "tls-key.pem")]
  const own = issue({ subject: "localhost", usage: null, purposes: null })
  await writeFile(cert, pemOf(own))
  await writeFile(key, own.key.export({ type: "pkcs8", format: "pem" }))
  return { cert, key }
}

/** All that comes until the server closes. */
async function rest(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on("data", (chunk) => chunks.push(chunk)).resume()
  await once(socket, "end")
  return Buffer.concat(chunks)
}

/** A registry with a blob, and what it says of each request that it has answered. */
async function withBlob(t: TestContext): Promise<{ peer: Peer; path: string; answered: () => number }> {
  let count = 0
  const info = (_: object, message: string): void => void (count += Number(message === "answered"))
  const logger = { ...quiet, info } as unknown as NonNullable<RegistryConfig["logger"]>
  const peer = await startPeer(t, { logger })
  const bytes = random(size)
  await peer.upload(bytes)
  const before = count
  return { peer, path: `/api/v1/blobs/sha256/${sha256(bytes)}`, answered: () => count - before }
}

test("5,000 reads on one connection: 64 are answered, one is told why not, none is behind it", async (t) => {
  const { peer, path, answered } = await withBlob(t)
  const blobs = join(peer.world.folder, "data", "blobs")
  const openBlobs = (): number =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(blobs)
      } catch {
        return false
      }
    }).length
  const socket = await open(peer.url)
  socket.pause().write(get(path, 5000))
  let highest = 0
  for (let i = 0; i < 100; i++) {
    if (process.platform === "linux") highest = Math.max(highest, openBlobs())
    await sleep(5)
  }
  assert.ok(highest <= most, `${highest} files were open`)
  const bytes = await rest(socket)
  const found = statuses(bytes)
  assert.deepEqual([...new Set(found.slice(0, most))], ["200"])
  assert.deepEqual(found.slice(most), ["503"])
  const [head = "", body = ""] = bytes.subarray(bytes.lastIndexOf("HTTP/1.1 503")).toString().split("\r\n\r\n")
  assert.match(head, /^retry-after: 1$/im)
  assert.match(head, /^connection: close$/im)
  assert.equal((JSON.parse(body) as { code: string }).code, "UNAVAILABLE")
  for (let i = 0; i < 3000 && answered() < most; i++) await sleep(20)
  assert.equal(answered(), most)
  assert.equal((await peer.call("GET", path)).bytes.length, size)
})

test("what stays half sent behind the refusal cuts no answer short", async (t) => {
  const peer = await startPeer(t, { timeouts: { headers: 1000, idle: 20_000, request: 2000 } })
  const bytes = random(size)
  await peer.upload(bytes)
  const socket = await open(peer.url)
  socket.pause().write(`${get(`/api/v1/blobs/sha256/${sha256(bytes)}`, 100)}GET /hea`)
  await sleep(4000)
  const found = await rest(socket)
  assert.deepEqual(statuses(found).slice(most), ["503"])
  assert.ok(found.length > most * size)
})

for (const scheme of ["http", "https"]) {
  test(
    `${scheme}: who reads nothing and sends a byte now and then holds no file for ever`,
    { timeout: 300_000 },
    async (t) => {
      const world = await makeWorld(t)
      const bytes = random(16 * size)
      const plain = await startPeer(t, {}, world)
      await plain.upload(bytes)
      await plain.close()
      const tls = scheme === "https" ? await tlsFiles(world.folder) : undefined
      const timeouts = { taken: 2000, headers: 60_000, request: 60_000 }
      const peer = await startPeer(t, { timeouts, ...(tls && { tls }) }, world)
      const path = `/api/v1/blobs/sha256/${sha256(bytes)}`
      const [stalled, slow] = [await open(peer.url), await open(peer.url)]
      const wasCut = new Promise((resolve) => stalled.once("close", resolve).on("error", () => undefined))
      const began = performance.now()
      stalled.pause().write(`${get(path, 8)}GET /`)
      const trickle = setInterval(() => stalled.write("x"), 50)
      t.after(() => clearInterval(trickle))
      // Who reads slowly takes longer than that for all of it, and gets it.
      slow.write(get(path, 1))
      let [received, taken] = [0, 0]
      for await (const { length } of slow as AsyncIterable<Buffer>) {
        received += length
        if (received >= 16 * size) break
        if (received - taken < size / 4) continue
        taken = received
        await sleep(60)
      }
      assert.ok(performance.now() - began > 3000, "it was not slow")
      await wasCut
    },
  )
}

test("32 at once are all answered, again and again, on one connection", { timeout: 300_000 }, async (t) => {
  const { peer, path } = await withBlob(t)
  const socket = await open(peer.url)
  let seen = 0
  let received = Buffer.alloc(0)
  const rounds = 5
  for (let round = 0; round < rounds; round++) {
    socket.write(get(path, promised))
    while (seen < (round + 1) * promised) {
      const [chunk] = (await once(socket, "data")) as [Buffer]
      received = Buffer.concat([received, chunk])
      for (let end = received.indexOf("\r\n\r\n"); end >= 0; end = received.indexOf("\r\n\r\n")) {
        if (received.length < end + 4 + size) break
        assert.match(received.toString("latin1", 0, end), /^HTTP\/1\.1 200 /)
        received = received.subarray(end + 4 + size)
        seen += 1
      }
    }
  }
  assert.equal(seen, rounds * promised)
  socket.destroy()
})

test("the same over TLS", async (t) => {
  const world = await makeWorld(t)
  const peer = await startPeer(t, { tls: await tlsFiles(world.folder) }, world)
  const socket = await open(peer.url)
  socket.write(get("/healthz", 100))
  assert.deepEqual(statuses(await rest(socket)), [...Array.from({ length: most }, () => "200"), "503"])
})

test("the same at a witness", async (t) => {
  const { folder } = await makeWorld(t)
  const data = join(folder, "witness")
  const witness = await startWitness({ data, name: "witness.example/w1", logLevel: "silent" })
  t.after(() => witness.close())
  const socket = await open(witness.url)
  socket.write(get("/healthz", 100))
  assert.deepEqual(statuses(await rest(socket)), [...Array.from({ length: most }, () => "200"), "503"])
})
