/** Who reads slowly is served, however large the document; who reads nothing is not waited for. */
import assert from "node:assert/strict"
import { once } from "node:events"
import { type Server, type ServerResponse, createServer } from "node:http"
import { type AddressInfo, type Socket, connect } from "node:net"
import { test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"

const source = (name: string): string => new URL(`../../packages/registry/src/http/${name}.ts`, import.meta.url).href
const { sendBytes } = (await import(source("respond"))) as {
  sendBytes: (response: ServerResponse, bytes: Uint8Array) => void
}
const { endStalled } = (await import(source("stalled"))) as { endStalled: (server: Server, limit: number) => void }

const size = 32 * 2 ** 20 // more than a system takes for a client that does not read

for (const reads of [true, false]) {
  test(`a document of 32 MiB, ${reads ? "read slowly" : "not read"}`, { timeout: 300_000 }, async (t) => {
    const bytes = Buffer.alloc(size, "x")
    const server = createServer((_, response) => sendBytes(response, bytes))
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    t.after(() => server.close())
    endStalled(server, 2000)
    const accepted = once(server, "connection") as Promise<[Socket]>
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1")
    t.after(() => socket.destroy())
    socket.on("error", () => undefined)
    socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    const [ours] = await accepted
    if (!reads) await new Promise((resolve) => ours.once("close", resolve)) // it is given up
    let [received, taken] = [0, 0]
    try {
      for await (const { length } of socket as AsyncIterable<Buffer>) {
        received += length
        if (received >= size) break
        if (received - taken < 2 ** 20) continue
        taken = received
        await pause(reads ? 120 : 0)
      }
    } catch {
      // It was cut.
    }
    assert.equal(received >= size, reads)
  })
}
