/**
 * A store that checks who sends, and not what: a gateway of ours before the real server, which signs every request anew
 * without its body's hash. No registry may use it.
 */
import assert from "node:assert/strict"
import { createServer, type IncomingMessage, request as send, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { buffer } from "node:stream/consumers"
import { test, type TestContext } from "node:test"

import { signHeaders } from "@weighlock/registry/s3"

import { Cli } from "../support/cli.ts"
import { forThisFile, freshBucket, skip } from "./support.ts"

const server = forThisFile()

/** `lenient`: for which requests the hash of the body is not looked at. */
async function startLenient(t: TestContext, lenient: (request: IncomingMessage) => boolean): Promise<string> {
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "", url: path = "", headers } = request
    const body = await buffer(request)
    const url = new URL(path, server().endpoint)
    const kept = Object.entries(headers).filter(([name]) => /^(x-amz-copy.*|if-.*|range|content-type)$/.test(name))
    const extra = Object.fromEntries(kept.map(([name, value]) => [name, String(value)]))
    const signing = { credentials: server().account, region: "us-east-1", at: new Date() }
    const own = lenient(request)
      ? { ...signHeaders(method, url, "UNSIGNED-PAYLOAD", signing, { extra }), "content-length": body.length }
      : headers
    const { hostname: host, port } = url
    const upstream = send({ host, port, method, path, headers: own }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    upstream.on("error", () => response.destroy())
    upstream.end(body)
  }
  const gateway = createServer((request, response) => void take(request, response))
  await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    gateway.closeAllConnections()
    gateway.close()
  })
  return `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`
}

const isPart = ({ url }: IncomingMessage): boolean => url?.includes("partNumber=") === true
const isPut = ({ method }: IncomingMessage): boolean => method === "PUT"
const isCopy = ({ headers }: IncomingMessage): boolean => "x-amz-copy-source" in headers
const cases: readonly [string, readonly string[], (request: IncomingMessage) => boolean][] = [
  ["does not enforce the signed hash of PUT", ["signed put"], (request) => isPut(request) && !isPart(request)],
  ["does not enforce the signed hash of UploadPart", ["signed part", "unsigned copy"], isPart],
  ["obeys a copy source that was not signed", ["unsigned copy"], (request) => isPart(request) && isCopy(request)],
]
for (const [what, expected, lenient] of cases) {
  test(`a store that ${what}: doctor says so, no registry starts`, { skip }, async (t) => {
    const { store } = await freshBucket(server())
    const cli = new Cli()
    t.after(() => cli.close())
    const flags = ["--store", store, "--s3-endpoint", await startLenient(t, lenient)]
    const { code, stdout } = await cli.run("doctor", "--json", ...flags)
    assert.equal(code, 8)
    const { findings } = JSON.parse(stdout) as { findings: { name: string; state: string }[] }
    assert.deepEqual(
      findings.filter(({ state }) => state === "problem").map(({ name }) => name),
      expected,
    )
    await cli.json("init", "reg", "--origin", "models.acme.example", "--no-passphrase")
    const serve = ["registry", "serve", "--data", "data", "--trust", "reg/trust.json", "--log-level", "silent"]
    assert.deepEqual(await cli.refusal(...serve, ...flags), { exit: 2, code: "USAGE" })
    await (await cli.start(...serve, "--store", store, "--s3-endpoint", server().endpoint)).stop()
  })
}
