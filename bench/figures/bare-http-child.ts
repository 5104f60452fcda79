/** The least that Node can do: `node bare-http-child.ts FILE` answers every request with the file, and prints its URL. */
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const body = readFileSync(process.argv[2] ?? "")
const headers = { "content-type": "application/json", "content-length": body.length }
const server = createServer((_, answer) => answer.writeHead(200, headers).end(body)).listen(0, "127.0.0.1")
await once(server, "listening")
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
