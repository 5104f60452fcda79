/** Many rows, large bodies, large answers: bounded, linear, and out of everybody else's way. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import assert from "node:assert/strict"
import { connect } from "node:net"
import { after, before, test } from "node:test"
import { loadVerified, type Model, serveModels, type ServeOptions, type Serving } from "@weighlock/runtime"
import { dense, filesOf, save, tf, twoHeaded, weightFile } from "./support.ts"

const maxRows = 1000
let model: Model // two numbers to three
let heads: Model
let serving: Serving

before(async () => {
  model = await loadVerified(filesOf(await save(dense())))
  heads = await loadVerified(filesOf(await save(twoHeaded())))
  const models = [
    { name: "tiny", model },
    { name: "heads", model: heads },
  ]
  serving = await serveModels(models, { port: 0, maxRows, maxAnswer: 50_000 })
})

after(async () => {
  await serving.close()
  await model.dispose()
  await heads.dispose()
})

async function ask(body: string, name = "tiny"): Promise<{ status: number; body: any }> {
  const response = await fetch(`${serving.url}/v1/models/${name}:predict`, { method: "POST", body })
  return { status: response.status, body: await response.json() }
}

const rows = (count: number): string => `[${Array.from({ length: count }, (_, row) => `[${row},1]`).join(",")}]`

const inside = (file: string): Promise<any> => import(new URL(file, import.meta.resolve("@weighlock/runtime")).href)

test("what is alive while a batch is computed does not grow with its rows", async () => {
  const { openJs } = await inside("./engines/tfjs/js.ts")
  const { openLayersModel } = await inside("./engines/tfjs/layers-model.ts")
  const { openFormat } = await inside("./formats/format.ts")
  const engine = await openJs()
  const { json, weights } = await save(dense())
  const files = { "model.json": new Uint8Array(Buffer.from(JSON.stringify(json))), [weightFile]: weights }
  const artifacts = openFormat("tfjs-layers", "model.json", new Map(Object.entries(files)))
  const loaded = await openLayersModel(engine, artifacts, performance.now())
  const global = engine.tf.engine()
  const runKernel = global.runKernel
  const peaks = []
  for (const count of [1000, 100_000]) {
    let peak = 0
    global.runKernel = function (...args: unknown[]) {
      peak = Math.max(peak, global.memory().numTensors)
      return runKernel.apply(this, args)
    }
    const [answer] = await loaded.predict([{ shape: [count, 2], data: new Float32Array(2 * count) }])
    assert.deepEqual(answer?.shape, [count, 3])
    peaks.push(peak)
  }
  global.runKernel = runKernel
  assert.equal(peaks[0], peaks[1])
})

test("every row of many gets its own answer, in order", async () => {
  const count = 1001 // whole chunks, and one that is not
  const answers = await model.predictBatch(Array.from({ length: count }, (_, row) => [row, 1]))
  const first = answers.map((answer) => Number([answer["out"]].flat(1)[0]))
  const slope = Number(first[1]) - Number(first[0])
  first.forEach((value, row) => assert.ok(Math.abs(value - Number(first[0]) - row * slope) < 1e-2))
  assert.equal(first.length, count)
})

for (const [form, body] of [
  ["instances", (count: number) => `{"instances":${rows(count)}}`],
  ["inputs", (count: number) => `{"inputs":${rows(count)}}`],
  ["inputs by name", (count: number) => `{"inputs":{"${String(model.inputs[0]?.name)}":${rows(count)}}}`],
] as const) {
  test(`413: more rows than are answered at once, as ${form}`, async () => {
    assert.equal((await ask(body(maxRows / 2))).status, 200)
    const { status, body: answer } = await ask(body(maxRows + 1))
    assert.equal(status, 413)
    assert.match(answer.error, /1001 rows; at most 1000/)
  })
}

/** The status of a request whose body never ends, or ends early: nobody parses it. */
function unfinished(headers: string, chunk = ""): Promise<string> {
  const { hostname, port } = new URL(serving.url)
  return new Promise((resolve, reject) => {
    let answer = ""
    const start = `POST /v1/models/tiny:predict HTTP/1.1\r\nhost: x\r\n${headers}\r\n\r\n`
    const socket = connect(Number(port), hostname, () => socket.write(start + chunk))
    socket.setEncoding("latin1").on("data", (text: string) => {
      answer += text
      if (answer.includes("\r\n\r\n")) socket.destroy()
    })
    socket.on("close", () => resolve(answer.split(" ")[1] ?? ""))
    socket.on("error", reject)
  })
}

test("413 before a body is read that is larger than the rows could take", async () => {
  assert.equal(await unfinished("content-length: 400000"), "413")
  const chunk = `10000\r\n${" ".repeat(0x10000)}\r\n`
  assert.equal(await unfinished("transfer-encoding: chunked", chunk.repeat(6)), "413")
})

test("the most rows fit a body however they are written", async () => {
  const numbers = Array.from({ length: maxRows }, () => [-1 / 3e300, -1 / 7e300])
  const { status, body } = await ask(JSON.stringify({ inputs: numbers }, null, 1))
  assert.deepEqual([status, body.outputs.length], [200, maxRows])
})

test("one picture fits the most rows, however it is indented; more than that is refused unread", async () => {
  const flat = await loadVerified(
    filesOf(await save(tf.sequential({ layers: [tf.layers.flatten({ inputShape: [28, 28, 1] })] }))),
  )
  const { url, close } = await serveModels([{ name: "m", model: flat }], { port: 0, maxRows: 1 })
  const row = Array.from({ length: 28 }, () => Array.from({ length: 28 }, () => [-1 / 3e300]))
  const named = { [String(flat.inputs[0]?.name)]: row }
  const status = async (question: object, indent: number, newline: string): Promise<number> => {
    const body = JSON.stringify(question, null, indent).replaceAll("\n", newline)
    const answer = await fetch(`${url}/v1/models/m:predict`, { method: "POST", body })
    await answer.arrayBuffer()
    return answer.status
  }
  for (const question of [{ instances: [row] }, { instances: [named] }, { inputs: [row] }])
    for (const indent of [0, 2, 8]) assert.equal(await status(question, indent, "\r\n"), 200, `indent ${indent}`)
  assert.equal(await status({ instances: [row] }, 8, "\n".repeat(50)), 413)
  await close()
  await flat.dispose()
})

test("the body of a question is parsed in the engine's thread", async () => {
  const parse = JSON.parse
  const sizes: number[] = []
  JSON.parse = (text: string, ...rest) => {
    sizes.push(text.length)
    return parse(text, ...rest)
  }
  try {
    const body = new TextEncoder().encode(`{"instances":${rows(500)}}`)
    const answer = await model.predictJson(body)
    assert.equal(body.length, 0, "it has moved there")
    assert.equal(parse(Buffer.from(answer).toString()).predictions.length, 500)
  } finally {
    JSON.parse = parse
  }
  assert.deepEqual(sizes, [])
})

test("422: an answer that can't be short enough is not computed", async () => {
  const wide = await loadVerified(
    filesOf(await save(tf.sequential({ layers: [tf.layers.repeatVector({ n: 100_000, inputShape: [1] })] }))),
  )
  const body = (): Uint8Array<ArrayBuffer> => new TextEncoder().encode('{"instances":[[1],[2]]}')
  await assert.rejects(wide.predictJson(body(), { maxAnswer: 399_999 }), { code: "OUTPUT_INVALID" })
  const { predictions } = JSON.parse(Buffer.from(await wide.predictJson(body(), { maxAnswer: 2 ** 20 })).toString())
  assert.deepEqual([predictions.length, predictions[1].length, predictions[1].at(-1)], [2, 100_000, [2]])
  await wide.dispose()
})

test("422: an answer that turns out too long", async () => {
  const fractions = `[${Array.from({ length: maxRows }, (_, row) => `[${row / 7},0.1]`).join(",")}]`
  const { status, body } = await ask(`{"instances":${fractions}}`)
  assert.equal(status, 422)
  assert.match(body.error, /more than 50000 bytes/)
})

test("a message that quotes a question stays short", async () => {
  const keys = Object.fromEntries(Array.from({ length: 2000 }, (_, key) => [`${"k".repeat(20)}${key}`, 1]))
  const { status, body } = await ask(JSON.stringify({ instances: [keys] }), "heads")
  assert.equal(status, 400)
  assert.ok(body.error.length < 1000)
})

for (const options of [{ maxRows: 0 }, { maxRows: 1.5 }, { maxBody: -1 }, { maxBody: 2 ** 31 }, { maxAnswer: NaN }]) {
  test(`no server with ${JSON.stringify(options)}`, async () => {
    const wrong: ServeOptions = { port: 0, ...options }
    await assert.rejects(serveModels([{ name: "m", model }], wrong), { code: "USAGE" })
  })
}

test("a body of brackets is refused over HTTP, and the next question is answered", async () => {
  assert.equal((await ask(`{"instances":${"[".repeat(40_000)}${"]".repeat(40_000)}}`)).status, 400)
  assert.equal((await ask(`{"instances":${rows(1)}}`)).status, 200)
})

test("400: a question with far more names beside it than questions have", async () => {
  const beside = (count: number): string => `{"instances":[[1,2]],"beside":[${'{"k":1},'.repeat(count)}1]}`
  assert.equal((await ask(beside(100))).status, 200)
  const { status, body } = await ask(beside(maxRows + 64))
  assert.equal(status, 400)
  assert.match(body.error, /more names/)
})

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const picture = [{ name: "picture", shape: [null, null], dtype: "float32" }]

const structures: Record<string, { body: string; code: string | null }> = {
  "brackets without end": { body: `{"instances":${"[".repeat(5_000_000)}`, code: "INPUT_INVALID" },
  "objects without end": { body: '{"a":'.repeat(1_000_000), code: "INPUT_INVALID" },
  "lists within bounds, again and again": { body: "[[[[]]]],".repeat(1_100_000), code: "TOO_LARGE" },
  "objects again and again": { body: `[${"{},".repeat(4_200_000)}`, code: "TOO_LARGE" },
  "more names than rows": { body: `{"instances":[{${'"k":1,'.repeat(2_000)}`, code: "INPUT_INVALID" },
  "brackets and quotes in a name": { body: `{"instances":[{"${'[{\\"'.repeat(5_000_000)}":1}]}`, code: null },
  "a picture of four million pixels": { body: `{"instances":[[${"[1],".repeat(4_000_000)}[1]]]}`, code: null },
  "a name without end": { body: `{"${"x".repeat(1_000_000)}`, code: null },
}
for (const [what, { body, code }] of Object.entries(structures)) {
  test(`counted before it is parsed: ${what}`, async () => {
    const { requireStructure } = await inside("./body-structure.ts")
    const check = (): void => requireStructure(bytes(body), picture, maxRows)
    if (code === null) check()
    else assert.throws(check, { code })
  })
}

test("counted before it is parsed: as many lists as the most rows of the declared input have", async () => {
  const { requireStructure } = await inside("./body-structure.ts")
  const row = `[${"[0],".repeat(255)}[0]],`
  const body = (rows: number): Uint8Array => bytes(`{"instances":[${row.repeat(rows - 1)}${row.slice(0, -1)}]}`)
  const input = [{ name: "signal", shape: [256, 1], dtype: "float32" }]
  requireStructure(body(16_384), input, 16_384)
  assert.throws(() => requireStructure(body(16_500), input, 16_384), { code: "TOO_LARGE" })
})

test("503 for answers that nobody reads, until their readers are gone", async () => {
  const repeated = tf.sequential({
    layers: [tf.layers.repeatVector({ n: 100_000, inputShape: [1] }), tf.layers.flatten()],
  })
  const predictTimeout = 150_000
  const wide = await loadVerified(filesOf(await save(repeated)), { predictTimeout })
  const options = { port: 0, maxAnswer: 2 ** 24, predictTimeout }
  const { url, close } = await serveModels([{ name: "m", model: wide }], options)
  const { hostname, port } = new URL(url)
  const body = `{"instances":[${"[0.1],".repeat(7)}[0.1]]}` // 800,000 times 0.10000000149011612, as 16 MB
  const post = (): Promise<Response> => fetch(`${url}/v1/models/m:predict`, { method: "POST", body })
  const length = `content-length: ${body.length}`
  const started = Array.from({ length: 4 }, async () => {
    const socket = connect(Number(port), hostname)
    socket.write(`POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\n${length}\r\n\r\n${body}`)
    await new Promise((resolve) => socket.once("readable", resolve)) // not read: no more than the buffers take comes
    return socket
  })
  const sockets = await Promise.all(started)
  const refused = await post()
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
  for (const socket of sockets) socket.destroy()
  let status = 503
  while (status === 503) {
    const answer = await post()
    await answer.arrayBuffer()
    status = answer.status
  }
  assert.equal(status, 200)
  await close()
  await wide.dispose()
})
