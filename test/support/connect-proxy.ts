/** A proxy as HTTPS_PROXY names one: sends what is inside CONNECT on, and says where it went. */
import { once } from "node:events"
import { createServer, type IncomingMessage } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import type { TestContext } from "node:test"

export interface ConnectProxy {
  readonly url: string
  /** `host:port` of each connection so far. */
  readonly connected: readonly string[]
}

export async function startConnectProxy(t: TestContext): Promise<ConnectProxy> {
  const connected: string[] = []
  const server = createServer().on("connect", (request: IncomingMessage, client: Socket, head: Buffer) => {
    connected.push(request.url ?? "")
    const { hostname, port } = new URL(`http://${request.url}`)
    const onward = connect(Number(port), hostname, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n")
      onward.write(head)
      client.pipe(onward).pipe(client)
    })
    onward.on("error", () => client.destroy())
    client.on("error", () => onward.destroy())
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, connected }
}
