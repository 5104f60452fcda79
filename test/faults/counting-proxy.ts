/** A TCP proxy on loopback that counts what passes, either way, and changes nothing; it may fall silent. */
import { connect, createServer, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import { Transform } from "node:stream"
import type { TestContext } from "node:test"

export interface CountingProxy {
  readonly url: string
  /** Where connections go on to. */
  target: URL | null
  /** Bytes from clients, with their headers. */
  up: number
  /** Bytes to clients, with their headers. */
  down: number
  /** Nothing passes any more, and no connection ends. */
  isSilent: boolean
  /** Told after each chunk. */
  onBytes: () => void
}

export async function startCountingProxy(t: TestContext): Promise<CountingProxy> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const { hostname = "127.0.0.1", port = "1" } = proxy.target ?? {}
    const registry = connect(Number(port), hostname)
    const pass = (from: Socket, to: Socket, count: (bytes: number) => void): void => {
      sockets.add(from)
      from.on("error", () => to.destroy()).on("close", () => sockets.delete(from) && to.destroy())
      const counted = new Transform({
        transform(chunk: Buffer, _, next) {
          if (proxy.isSilent) return // for ever
          count(chunk.length)
          proxy.onBytes()
          next(null, chunk)
        },
      })
      from.pipe(counted).pipe(to)
    }
    pass(client, registry, (bytes) => (proxy.up += bytes))
    pass(registry, client, (bytes) => (proxy.down += bytes))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  const proxy: CountingProxy = {
    url: `http://127.0.0.1:${port}`,
    target: null,
    up: 0,
    down: 0,
    isSilent: false,
    onBytes: () => undefined,
  }
  return proxy
}
