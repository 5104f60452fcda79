/** A registry that lies: passes everything on to the real one, but answers one address with something else. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

export interface Impostor {
  readonly url: string
  close(): void
}

export async function startImpostor(real: string, path: string, answer: Uint8Array): Promise<Impostor> {
  const server = createServer((request, response) => {
    if (request.url === path) {
      response.writeHead(200, { "content-type": "application/json" }).end(answer)
      return
    }
    void fetch(`${real}${request.url}`, { redirect: "manual" }).then(
      async (passed) => response.writeHead(passed.status).end(Buffer.from(await passed.arrayBuffer())),
      () => response.writeHead(502).end(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
