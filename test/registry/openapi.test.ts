/** The document and the server are one: what is written answers, what is not written does not. */
import assert from "node:assert/strict"
import { test } from "node:test"

import { type Answer, type Schema, describe, random, signed, startPeer } from "./support.ts"

const expected: Record<string, string[]> = {
  "/api/v1/info": ["get", "head"],
  "/api/v1/models": ["get", "head"],
  "/api/v1/models/{namespace}/{name}": ["get", "head"],
  "/api/v1/models/{namespace}/{name}/versions": ["post"],
  "/api/v1/models/{namespace}/{name}/versions/{version}": ["get", "head"],
  "/api/v1/manifests/sha256/{sha256}": ["get", "head"],
  "/api/v1/models/{namespace}/{name}/history": ["get", "head"],
  "/api/v1/log/proof/{index}": ["get", "head"],
  "/api/v1/log/consistency": ["get", "head"],
  "/api/v1/log/entries": ["get", "head"],
  "/log/checkpoint": ["get", "head"],
  "/log/tile/{tile}": ["get", "head"],
  "/log/payload/sha256/{sha256}": ["get", "head"],
  "/api/v1/trust": ["get", "head"],
  "/api/v1/trust/{version}": ["get", "head"],
  "/api/v1/uploads": ["post"],
  "/api/v1/uploads/{sha256}/parts/{part}": ["put"],
  "/api/v1/uploads/{sha256}/complete": ["post"],
  "/api/v1/blobs/sha256/{sha256}": ["get", "head"],
  "/healthz": ["get", "head"],
  "/readyz": ["get", "head"],
  "/metrics": ["get", "head"],
  "/openapi.json": ["get", "head"],
}
const samples: Record<string, string> = {
  namespace: "acme",
  name: "mnist",
  version: "1.0.0",
  sha256: "0".repeat(64),
  part: "1",
  index: "0",
  tile: "0/000.p/1",
}

test("the document lists exactly the routes that there are", async (t) => {
  const peer = await startPeer(t)
  const { json } = await peer.call("GET", "/openapi.json")
  assert.equal(json.openapi, "3.1.0")
  const found = Object.entries(json.paths).map(([path, item]) => [path, Object.keys(item as object).sort()])
  assert.deepEqual(Object.fromEntries(found), expected)
})

test("every method of the document answers, every other is 405 with what the document says", async (t) => {
  const peer = await startPeer(t)
  for (const [template, methods] of Object.entries(expected)) {
    const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      template.includes("/trust/") ? "1" : (samples[name] ?? ""),
    )
    for (const method of ["get", "head", "post", "put", "patch", "delete", "options"]) {
      const { status, headers } = await peer.call(method.toUpperCase(), path)
      if (methods.includes(method)) assert.ok(![405, 500, 501].includes(status), `${method} ${path}: ${status}`)
      else {
        assert.equal(status, 405, `${method} ${path}`)
        assert.equal(headers.get("allow"), methods.map((each) => each.toUpperCase()).join(", "))
      }
    }
  }
})

test("answers have the members the document says", async (t) => {
  const peer = await startPeer(t)
  const bytes = random(10)
  const asked = await peer.ask(describe(bytes))
  await peer.upload(bytes)
  await peer.publish(await signed(peer.world, [bytes]))
  const { json: document } = await peer.call("GET", "/openapi.json")
  const cases: [Answer, string, string][] = [
    [(await peer.call("GET", "/api/v1/info")).json, "/api/v1/info", "get"],
    [(await peer.call("GET", "/api/v1/models")).json, "/api/v1/models", "get"],
    [(await peer.call("GET", "/api/v1/models/acme/mnist")).json, "/api/v1/models/{namespace}/{name}", "get"],
    [asked.json, "/api/v1/uploads", "post"],
    [(await peer.call("GET", "/api/v1/trust")).json, "/api/v1/trust", "get"],
    [(await peer.call("GET", "/readyz")).json, "/readyz", "get"],
    [(await peer.call("GET", "/api/v1/log/proof/2")).json, "/api/v1/log/proof/{index}", "get"],
    [(await peer.call("GET", "/api/v1/log/consistency?from=2&to=3")).json, "/api/v1/log/consistency", "get"],
    [(await peer.call("GET", "/api/v1/log/entries?from=0")).json, "/api/v1/log/entries", "get"],
    [
      (await peer.call("GET", "/api/v1/models/acme/mnist/history")).json,
      "/api/v1/models/{namespace}/{name}/history",
      "get",
    ],
    [
      (await peer.call("GET", "/api/v1/models/acme/mnist/versions/1.0.0")).json,
      "/api/v1/models/{namespace}/{name}/versions/{version}",
      "get",
    ],
  ]
  for (const [value, path, method] of cases) {
    const schema = document.paths[path]?.[method]?.responses["200"]?.content["application/json"]?.schema
    assert.ok(schema, path)
    requireShape(value, schema, path)
  }
})

/** The little of JSON Schema that our answers use. */
function requireShape(value: unknown, schema: Schema, where: string): void {
  if (schema.enum) assert.ok(schema.enum.includes(value), where)
  if (schema.pattern) assert.match(String(value), new RegExp(schema.pattern), where)
  if (schema.type === "array") {
    assert.ok(Array.isArray(value), where)
    for (const each of value as unknown[]) requireShape(each, schema.items ?? {}, `${where}[]`)
  } else if (schema.type === "object") {
    const members = value as Record<string, unknown>
    for (const name of schema.required ?? []) assert.ok(name in members, `${where}.${name}`)
    for (const [name, each] of Object.entries(schema.properties ? members : {})) {
      const known = schema.properties?.[name]
      assert.ok(known, `${where}.${name} is not in the document`)
      requireShape(each, known, `${where}.${name}`)
    }
  } else if (schema.type) assert.equal(typeof value, schema.type === "integer" ? "number" : schema.type, where)
}
