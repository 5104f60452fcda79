/** A socket that reads into memory which is used again: what its reader does not take at once is not lost to the next read. */
import assert from "node:assert/strict"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from "node:net"
import { test, type TestContext } from "node:test"
import { setImmediate as turn, setTimeout as pause } from "node:timers/promises"

const source = new URL("../../packages/client/src/reused-memory.ts", import.meta.url)
const { readsIntoReusedMemory } = (await import(source.href)) as {
  readsIntoReusedMemory: () => Partial<NetConnectOpts>
}

const sent = [1, 2, 3].map(() => randomBytes(3 * 2 ** 20))

/** Connections that get one of `sent` each, a little at a time. */
async function dial(t: TestContext, wanted = sent.length): Promise<Socket[]> {
  let count = 0
  const server = createServer((socket) => {
    const bytes = sent[count++] ?? Buffer.alloc(0)
    void (async () => {
      for (let at = 0; at < bytes.length; at += 100_000) {
        socket.write(bytes.subarray(at, at + 100_000))
        await turn()
      }
      socket.end()
    })()
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const options = readsIntoReusedMemory()
  const { port } = server.address() as AddressInfo
  const sockets = sent.slice(0, wanted).map(() => connect({ port, host: "127.0.0.1", ...options }))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return sockets
}

async function bytesOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(Buffer.from(chunk as Buffer))
  return Buffer.concat(chunks)
}

const digests = (all: readonly Buffer[]): string[] =>
  all.map((bytes) => createHash("sha256").update(bytes).digest("hex")).toSorted()

test("three at once, read as it comes", { timeout: 20_000 }, async (t) => {
  assert.deepEqual(digests(await Promise.all((await dial(t)).map(bytesOf))), digests(sent))
})

test("three at once, whose readers come late and are slow", { timeout: 20_000 }, async (t) => {
  const sockets = await dial(t)
  await pause(200)
  for (const socket of sockets)
    assert.ok(socket.readableLength <= 2 ** 20, "what nobody reads is not gathered for ever")
  const slowly = async (socket: Socket): Promise<Buffer> => {
    const chunks: Buffer[] = []
    for await (const chunk of socket) {
      chunks.push(Buffer.from(chunk as Buffer))
      await pause(1)
    }
    return Buffer.concat(chunks)
  }
  assert.deepEqual(digests(await Promise.all(sockets.map(slowly))), digests(sent))
})

test("who reads at once gets the same memory every time", { timeout: 20_000 }, async (t) => {
  const [socket] = await dial(t, 1)
  assert.ok(socket)
  const chunks = new Set<ArrayBufferLike>()
  socket.on("readable", () => {
    for (let chunk = socket.read() as Buffer | null; chunk !== null; chunk = socket.read() as Buffer | null)
      chunks.add(chunk.buffer)
  })
  await once(socket, "close")
  assert.equal(chunks.size, 1)
})
