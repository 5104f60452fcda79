/**
 * The notebook's service: a 28×28 array of numbers from 0 to 1 in, `{"prob":[10 numbers]}` out.
 *
 *     WEIGHLOCK_REGISTRY=http://127.0.0.1:8443 WEIGHLOCK_TRUST=trust.json node service.ts
 *     curl -d '[[0,0,…],…]' http://127.0.0.1:8080/
 *
 * The model is pinned by the digest of its signed manifest, which `weighlock publish` prints: this source decides what is
 * served, and no one who can write the bucket or run the registry can change it.
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { loadModel } from "@weighlock/runtime"

const model = "acme/mnist@sha256:0000000000000000000000000000000000000000000000000000000000000000"
const longestBody = 100_000 // bytes

const { WEIGHLOCK_REGISTRY: registry, WEIGHLOCK_TRUST: trust = "trust.json", PORT = "8080" } = process.env
const loaded = await loadModel(model, { trust, ...(registry === undefined ? {} : { registry }) })

const server = createServer((request, response) => {
  const answer = (status: number, body: unknown): void => {
    response.writeHead(status, {
      "content-type": "application/json",
      "weighlock-manifest": `sha256:${loaded.manifest.digest}`,
    })
    response.end(`${JSON.stringify(body)}\n`)
  }
  if (request.method !== "POST" || request.url !== "/") {
    answer(404, { error: "POST a 28×28 array to /" })
    return
  }
  let text = ""
  request.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk
    if (text.length > longestBody) request.destroy()
  })
  request.once("end", () => {
    predict(text).then(
      (prediction) => answer(200, prediction),
      (error: Error) => answer(400, { error: error.message }),
    )
  })
})

async function predict(text: string): Promise<unknown> {
  return await loaded.predict(JSON.parse(text) as number[][])
}

server.listen(Number(PORT), "127.0.0.1", () => {
  process.stdout.write(
    `${JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pid: process.pid })}\n`,
  )
})
