/** TF Serving's REST interface over real HTTP: what it answers, and what it will not. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import assert from "node:assert/strict"
import { connect } from "node:net"
import { after, before, test } from "node:test"
import { loadVerified, type Model, serveModels, type Serving } from "@weighlock/runtime"
import { close, dense, filesOf, image, mnistLike, save, tf, twoHeaded } from "./support.ts"

const digest = `sha256:${"ab".repeat(32)}`
const source = mnistLike()
let models: { name: string; model: Model }[]
let serving: Serving

before(async () => {
  const made = { mnist: source, heads: twoHeaded(), tiny: dense() }
  models = await Promise.all(
    Object.entries(made).map(async ([name, model]) => ({
      name,
      model: await loadVerified(filesOf(await save(model))),
    })),
  )
  serving = await serveModels(models, { port: 0, maxBody: 2 ** 20 })
})

after(async () => {
  await serving.close()
  for (const { model } of models) await model.dispose()
})

async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; headers: Headers; body: any }> {
  const response = await fetch(serving.url + path, init)
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) }
}

function predict(name: string, body: unknown): ReturnType<typeof ask> {
  return ask(`/v1/models/${name}:predict`, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  })
}

test("rows: instances to predictions, a single output without its name", async () => {
  const pictures = [image(1), image(2)]
  const expected = await source.predict(tf.tensor3d(pictures)).array()
  const { status, headers, body } = await predict("mnist", { instances: pictures })
  assert.equal(status, 200)
  assert.equal(headers.get("weighlock-manifest"), digest)
  assert.deepEqual(Object.keys(body), ["predictions"])
  for (const [index, prob] of body.predictions.entries()) assert.ok(close(prob, expected[index]))
})

test("columns: inputs to outputs", async () => {
  const rows = await predict("mnist", { signature_name: "serving_default", instances: [image(3)] })
  const columns = await predict("mnist", { inputs: [image(3)] })
  assert.deepEqual(columns.body, { outputs: rows.body.predictions })
  assert.deepEqual((await predict("mnist", { inputs: { image_input: [image(3)] } })).body, columns.body)
  assert.deepEqual((await predict("mnist", { instances: [{ image_input: image(3) }] })).body, rows.body)
})

test("several inputs and outputs go by name, both ways", async () => {
  const rows = await predict("heads", {
    instances: [
      { a: [1, 2], b: [3, 4, 5] },
      { b: [0, 0, 0], a: [1, 1] },
    ],
  })
  assert.deepEqual(rows.body, {
    predictions: [
      { sum: [15], pair: [15, 15] },
      { sum: [2], pair: [2, 2] },
    ],
  })
  const columns = await predict("heads", { inputs: { a: [[1, 2]], b: [[3, 4, 5]] } })
  assert.deepEqual(columns.body, { outputs: { sum: [[15]], pair: [[15, 15]] } })
})

test("a version may be named", async () => {
  const body = JSON.stringify({ instances: [[1, 2]] })
  assert.equal((await ask("/v1/models/tiny/versions/1.2.0:predict", { method: "POST", body })).status, 200)
  const other = await ask("/v1/models/tiny/versions/1.2.1:predict", { method: "POST", body })
  assert.deepEqual([other.status, typeof other.body.error], [404, "string"])
})

test("status and metadata", async () => {
  const expected = [{ version: "1.2.0", state: "AVAILABLE", status: { error_code: "OK", error_message: "" } }]
  for (const path of ["/v1/models/mnist", "/v1/models/mnist/versions/1.2.0"]) {
    const { headers, body } = await ask(path)
    assert.deepEqual(body, { model_version_status: expected })
    assert.equal(headers.get("weighlock-manifest"), digest)
  }
  const { body } = await ask("/v1/models/mnist/metadata")
  const signature = body.metadata.signature_def.signature_def.serving_default
  assert.deepEqual(body.model_spec, { name: "mnist", signature_name: "", version: "1.2.0" })
  assert.equal(signature.inputs.image_input.dtype, "DT_FLOAT")
  assert.deepEqual(signature.outputs.prob.tensor_shape.dim, [
    { size: "-1", name: "" },
    { size: "10", name: "" },
  ])
})

test("health and readiness", async () => {
  assert.equal((await ask("/healthz")).status, 200)
  assert.equal((await ask("/readyz")).status, 200)
  assert.equal((await ask("/readyz", { method: "HEAD" })).body, null)
})

const badBodies: Record<string, unknown> = {
  nothing: "",
  "no JSON": "{",
  "a list": [[1, 2]],
  null: "null",
  "a byte order mark": "\ufeff{}",
  "neither form": {},
  "both forms": { instances: [[1, 2]], inputs: [[1, 2]] },
  "another signature": { signature_name: "train", instances: [[1, 2]] },
  "no instances": { instances: [] },
  "instances of text": { instances: "[[1,2]]" },
  "instances by name": { instances: { dense_input: [[1, 2]] } },
  "an instance too short": { instances: [[1]] },
  "an instance too deep": { instances: [[[1, 2]]] },
  "one bad among good ones": {
    instances: [
      [1, 2],
      [1, "2"],
    ],
  },
  "NaN for a number": '{"instances":[[1,NaN]]}',
  "a number beyond a float": '{"instances":[[1,1e39]]}',
  "an unknown input": { instances: [{ nobody: [1, 2] }] },
  "__proto__ as input": '{"instances":[{"__proto__":[1,2]}]}',
  "no columns": { inputs: {} },
  "depth without end": `{"instances":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
}

for (const [what, body] of Object.entries(badBodies)) {
  test(`400: ${what}`, async () => {
    const { status, headers, body: answer } = await predict("tiny", body)
    assert.deepEqual([status, Object.keys(answer)], [400, ["error"]])
    assert.equal(headers.get("weighlock-manifest"), digest)
  })
}

test("400: columns that differ in their batch", async () => {
  assert.equal(
    (
      await predict("heads", {
        inputs: {
          a: [[1, 2]],
          b: [
            [3, 4, 5],
            [3, 4, 5],
          ],
        },
      })
    ).status,
    400,
  )
})

test("400: bytes that are no UTF-8", async () => {
  assert.equal(
    (await ask("/v1/models/tiny:predict", { method: "POST", body: Uint8Array.of(0x22, 0xff, 0x22) })).status,
    400,
  )
})

const lost = [
  "/",
  "/v1",
  "/v1/models",
  "/v1/models/",
  "/v1/models/nobody",
  "/v1/models/MNIST",
  "/v1/models/mnist/",
  "/v1/models/mnist/versions/2.0.0",
  "/v2/models/mnist",
  "/v1/models/mnist/labels/prod",
  "/v1/models/__proto__",
  "/v1/models/mnist/metadata/",
  "/V1/models/mnist",
  "//v1/models/mnist",
  "/v1/models/mnist:metadata",
  "/v1/models/mnist:classify",
  "/metrics",
]

for (const path of lost) {
  test(`404: ${path}`, async () => {
    const { status, body } = await ask(path)
    assert.deepEqual([status, Object.keys(body)], [404, ["error"]])
  })
}

test("404: a label, with a sentence", async () => {
  const { status, body } = await ask("/v1/models/mnist/labels/prod:predict", { method: "POST", body: "{}" })
  assert.equal(status, 404)
  assert.match(body.error, /label/)
})

const methods: [method: string, path: string, allow: string][] = [
  ["GET", "/v1/models/mnist:predict", "POST"],
  ["PUT", "/v1/models/mnist:predict", "POST"],
  ["POST", "/v1/models/mnist", "GET, HEAD"],
  ["DELETE", "/v1/models/mnist", "GET, HEAD"],
  ["POST", "/healthz", "GET, HEAD"],
]
for (const [method, path, allow] of methods) {
  test(`405: ${method} ${path}`, async () => {
    const { status, headers } = await ask(path, { method })
    assert.deepEqual([status, headers.get("allow")], [405, allow])
  })
}

/** One request as raw text, so that no client tidies it up; the answer's status line. */
function raw(text: string): Promise<string> {
  const { hostname, port } = new URL(serving.url)
  return new Promise((resolve, reject) => {
    let answer = ""
    const socket = connect(Number(port), hostname, () => socket.write(text))
    socket.setEncoding("latin1").on("data", (chunk: string) => (answer += chunk))
    socket.on("close", () => resolve(answer.split("\r\n", 1)[0] ?? ""))
    socket.on("error", reject)
  })
}

for (const path of [
  "/v1/models/%6dnist",
  "/v1/models/mnist%3apredict",
  "/%2e%2e/etc/passwd",
  "/v1\\models",
  "/v1/models/m\u00fc",
  "http://other/v1/models/mnist",
  "*",
]) {
  test(`400: ${path}`, async () => {
    assert.match(await raw(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`), / 400 /)
  })
}

const smuggled: Record<string, string> = {
  "two lengths": "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
  "a length and chunks":
    "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  "no HTTP": "hello\r\n\r\n",
  "no host": "GET /healthz HTTP/1.1\r\n\r\n",
}
for (const [what, text] of Object.entries(smuggled)) {
  test(`400: ${what}`, async () => assert.match(await raw(text), / 400 /))
}

test("431: headers without end", async () => {
  assert.match(await raw(`GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(40_000)}\r\n\r\n`), / 431 /)
})

test("413: a body that says it is too large, and one that just is", async () => {
  const start = "POST /v1/models/tiny:predict HTTP/1.1\r\nhost: x\r\n"
  assert.match(await raw(`${start}content-length: 2000000\r\n\r\n`), / 413 /)
  const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`
  assert.match(await raw(`${start}transfer-encoding: chunked\r\n\r\n${chunk.repeat(17)}`), / 413 /)
})

test("415: compressed bodies are not opened", async () => {
  const headers = { "content-encoding": "gzip" }
  assert.equal((await ask("/v1/models/tiny:predict", { method: "POST", headers, body: "x" })).status, 415)
})

test("503 with Retry-After when too many wait, and answers for the others", async () => {
  const all = await Promise.all(
    Array.from({ length: 150 }, () => predict("mnist", { instances: [image(1), image(2), image(3)] })),
  )
  const counts = Map.groupBy(all, ({ status }) => status)
  assert.ok((counts.get(200)?.length ?? 0) > 0)
  assert.deepEqual(
    [...counts.keys()].filter((status) => status !== 200 && status !== 503),
    [],
  )
  for (const { headers } of counts.get(503) ?? []) assert.equal(headers.get("retry-after"), "1")
})

test("422: an answer that JSON can't say", async () => {
  for (const weight of [3e38, NaN]) {
    const { json } = await save(dense(1, 1))
    const weights = new Uint8Array(Float32Array.of(weight, 0).buffer)
    const model = await loadVerified(filesOf({ json, weights }))
    const own = await serveModels([{ name: "m", model }], { port: 0 })
    const response = await fetch(`${own.url}/v1/models/m:predict`, { method: "POST", body: '{"instances":[[10]]}' })
    assert.deepEqual([response.status, Object.keys((await response.json()) as object)], [422, ["error"]])
    await own.close()
    await model.dispose()
  }
})

test("names that can't be served", async () => {
  const [first] = models
  assert.ok(first)
  for (const name of ["", "a/b", "a:b", "a%2f", "-", "x".repeat(65)]) {
    await assert.rejects(serveModels([{ name, model: first.model }], { port: 0 }), { code: "USAGE" })
  }
  await assert.rejects(serveModels([first, first], { port: 0 }), { code: "USAGE" })
})

test("a port that is taken", async () => {
  await assert.rejects(serveModels(models, { port: Number(new URL(serving.url).port) }), { code: "USAGE" })
})

test("close finishes what is under way and takes nothing new; a disposed model is not ready", async () => {
  const model = await loadVerified(filesOf(await save(mnistLike())))
  const own = await serveModels([{ name: "m", model }], { port: 0 })
  const body = JSON.stringify({ instances: Array.from({ length: 300 }, (_, seed) => image(seed)) })
  const pending = fetch(`${own.url}/v1/models/m:predict`, { method: "POST", body })
  await fetch(`${own.url}/healthz`)
  await new Promise((resolve) => setTimeout(resolve, 50))
  const [response] = await Promise.all([pending, own.close(), own.close()])
  assert.equal(response.status, 200)
  assert.equal(((await response.json()) as { predictions: unknown[] }).predictions.length, 300)
  await assert.rejects(fetch(`${own.url}/healthz`))

  const again = await serveModels([{ name: "m", model }], { port: 0 })
  await model.dispose()
  assert.equal((await fetch(`${again.url}/readyz`)).status, 503)
  assert.equal((await fetch(`${again.url}/healthz`)).status, 200)
  const question = JSON.stringify({ instances: [image(1)] })
  assert.equal((await fetch(`${again.url}/v1/models/m:predict`, { method: "POST", body: question })).status, 503)
  await again.close()
})
