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

/** `routes`: where `host:port` really is; whatever is not among them is answered 403. Without them everything is let through. */
export async function startConnectProxy(
  t: TestContext,
  routes?: Readonly<Record<string, string>>,
): Promise<ConnectProxy> {
  const connected: string[] = []
  const server = createServer().on("connect", (request: IncomingMessage, client: Socket, head: Buffer) => {
    connected.push(request.url ?? "")
    const address = routes === undefined ? request.url : routes[request.url ?? ""]
    if (address === undefined) return void client.end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
    const { hostname, port } = new URL(`http://${address}`)
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
