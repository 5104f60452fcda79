/** A port of loopback that nobody had a moment ago, for servers that cannot take one themselves and say which. */
import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}
