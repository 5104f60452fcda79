/** ONNX models in the real onnxruntime, from verified bytes: what is answered, and what is refused. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, afterEach, before, test } from "node:test"
import { checkLoadable, loadVerified, type Model, serveModels } from "../../packages/runtime/src/index.ts"
import { verified } from "../runtime/support.ts"
import {
  type Bytes,
  floats,
  graph,
  intAttribute,
  intsAttribute,
  longs,
  model,
  node,
  part,
  smallNetwork,
  tensor,
  types,
  value,
} from "../support/onnx-file.ts"
import { useInstalled, newFolder, removeFolders } from "./onnx-engine.ts"

before(useInstalled)
const open: Model[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.dispose()
})
after(removeFolders)

async function load(bytes: Bytes, device = "auto"): Promise<Model> {
  const files = verified({ "model.onnx": bytes }, { format: "onnx", entrypoint: "model.onnx" })
  const loaded = await loadVerified(files, { device })
  open.push(loaded)
  return loaded
}

/** One operator from x to y, in the types given. */
const one = (op: string, from: number, to: number, shape: readonly (number | string | null)[], more = {}): Bytes =>
  model({
    graph: graph({
      nodes: [node(op, ["x"], ["y"], more)],
      inputs: [value("x", from, shape)],
      outputs: [value("y", to, shape)],
    }),
  })

const expected = (x: readonly number[]): number[] => {
  const h = [0, 1, 2].map((at) => (x[0] ?? 0) * (at + 1) + (x[1] ?? 0) * (at + 4) + [0.5, 0, -0.5][at]!)
  const sum = h.reduce((total, one_) => total + Math.exp(one_), 0)
  return h.map((one_) => Math.exp(one_) / sum)
}

test("answers, alone and in batches of any size, and says which engine it was", async () => {
  const loaded = await load(smallNetwork())
  assert.deepEqual([loaded.engine.name, loaded.engine.device, loaded.engine.software], ["onnxruntime", "cpu", false])
  assert.deepEqual(
    loaded.engine.passedOver.map(({ name }) => name),
    ["onnxruntime-cuda", "onnxruntime-webgpu"],
  )
  const rows = Array.from({ length: 1000 }, (_, at) => [at / 1000, 0.25])
  const answers = await loaded.predictBatch(rows)
  for (const [at, { prob }] of answers.entries())
    for (const [index, right] of expected(rows[at]!).entries())
      assert.ok(Math.abs((prob as number[])[index]! - right) < 1e-6)
  assert.deepEqual(await loaded.predict(rows[7]!), answers[7])
})

for (const device of ["wasm", "js", "tfjs-node-gpu"]) {
  test(`--device ${device} does not load ONNX, and says who does`, async () => {
    await assert.rejects(load(smallNetwork(), device), { code: "DEVICE_UNAVAILABLE", message: /does not load onnx/ })
  })
}
for (const device of ["gpu", "onnxruntime-cuda", "onnxruntime-webgpu"]) {
  test(`--device ${device} fails closed where there is no GPU`, async () => {
    await assert.rejects(load(smallNetwork(), device), { code: "DEVICE_UNAVAILABLE" })
  })
}

test("element types: what goes in comes out", async () => {
  const cases: readonly (readonly [number, readonly unknown[]])[] = [
    [types.float, [1.5, -2]],
    [types.double, [1e300, -0.1]],
    [types.half, [0.5, -65504]],
    [types.int8, [-128, 127]],
    [types.uint8, [0, 255]],
    [types.int32, [-(2 ** 31), 2 ** 31 - 1]],
    [types.int64, [-5, Number.MAX_SAFE_INTEGER]],
    [types.bool, [true, false]],
    [types.string, ["Ægir", ""]],
  ]
  for (const [type, values] of cases) {
    const loaded = await load(one("Identity", type, type, ["n", 2]))
    assert.deepEqual(await loaded.predict(values as never), { y: values })
    const answer = await loaded.predictJson(
      new Uint8Array(Buffer.from(JSON.stringify({ instances: [values, values] }))),
    )
    assert.deepEqual(JSON.parse(Buffer.from(answer).toString()), { predictions: [values, values] })
  }
})

test("whole numbers beyond 2^53 keep their digits, and one that was rounded is refused", async () => {
  const loaded = await load(one("Identity", types.int64, types.int64, ["n"]))
  assert.deepEqual(await loaded.predict(9007199254740993n), { y: 9007199254740993n })
  const ask = async (body: string): Promise<string> =>
    Buffer.from(await loaded.predictJson(new Uint8Array(Buffer.from(body)))).toString()
  assert.equal(await ask('{"instances":["9007199254740993"]}'), '{"predictions":[9007199254740993]}')
  for (const wrong of ["9007199254740993", "1.5", '"1e3"', '"9223372036854775808"', "true", "null"])
    await assert.rejects(ask(`{"instances":[${wrong}]}`), { code: "INPUT_INVALID" }, wrong)
})

test("values that a type does not hold are refused", async () => {
  const wrong: readonly (readonly [number, readonly unknown[]])[] = [
    [types.half, [65_505, -1e9, "1"]],
    [types.uint8, [256, -1, 0.5]],
    [types.int8, [128, -129]],
    [types.bool, [2, "true"]],
    [types.string, [1, null, true]],
    [types.double, ["1", true]],
  ]
  for (const [type, values] of wrong) {
    const loaded = await load(one("Identity", type, type, ["n"]))
    for (const each of values) await assert.rejects(loaded.predict(each as never), { code: "INPUT_INVALID" })
  }
})

test("several inputs and outputs, by name; scalars a row", async () => {
  const loaded = await load(
    model({
      graph: graph({
        nodes: [
          node("Add", ["a", "b"], ["sum"]),
          node("ArgMax", ["sum"], ["at"], { attributes: [intAttribute("axis", 1), intAttribute("keepdims", 0)] }),
        ],
        inputs: [value("a", types.float, ["n", 3]), value("b", types.float, ["n", 3])],
        outputs: [value("sum", types.float, ["n", 3]), value("at", types.int64, ["n"])],
      }),
    }),
  )
  assert.deepEqual(await loaded.predict({ b: [0, 0, 9], a: [1, 2, 3] }), { sum: [1, 2, 12], at: 2 })
  await assert.rejects(loaded.predict({ a: [1, 2, 3] }), { code: "INPUT_INVALID" })
  await assert.rejects(loaded.predict({ a: [1, 2, 3], b: [1, 2] }), { code: "INPUT_INVALID" })
})

test("sizes left open besides the batch", async () => {
  const loaded = await load(
    model({
      graph: graph({
        nodes: [node("ReduceSum", ["ids", "axes"], ["total"], { attributes: [intAttribute("keepdims", 0)] })],
        inputs: [value("ids", types.int64, ["batch", "sequence"])],
        outputs: [value("total", types.int64, ["batch"])],
        initializers: [longs("axes", [1], [1])],
      }),
    }),
  )
  assert.deepEqual(
    await loaded.predictBatch([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]),
    [{ total: 10 }, { total: 26 }],
  )
  assert.deepEqual(await loaded.predict([1]), { total: 1 })
})

test("a batch that is fixed to one is asked row by row; to four, by four", async () => {
  const single = await load(smallNetwork(1))
  assert.deepEqual(single.inputs[0]?.shape, [2])
  const rows = [
    [1, 2],
    [3, 4],
    [0, 0],
  ]
  const flexible = await load(smallNetwork())
  assert.deepEqual(await single.predictBatch(rows), await flexible.predictBatch(rows))
  const four = await load(smallNetwork(4))
  assert.equal((await four.predictBatch([...rows, ...rows, [1, 1], [2, 2]])).length, 8)
  await assert.rejects(four.predictBatch(rows), { code: "INPUT_INVALID", message: /4 rows at a time/ })
})

test("rows that depend on each other are computed together, however many", async () => {
  const loaded = await load(
    one("Softmax", types.float, types.float, ["n", 1], { attributes: [intAttribute("axis", 0)] }),
  )
  const answers = await loaded.predictBatch(Array.from({ length: 600 }, () => [1]))
  const total = answers.reduce((sum, { y }) => sum + (y as number[])[0]!, 0)
  assert.ok(Math.abs(total - 1) < 1e-4)
})

test("inputs and outputs without a batch are refused when the model is loaded", async () => {
  const scalar = one("Relu", types.float, types.float, [])
  await assert.rejects(load(scalar), { code: "MODEL_REFUSED", message: /no batch dimension/ })
  const total = model({
    graph: graph({
      nodes: [node("ReduceSum", ["x"], ["y"], { attributes: [intAttribute("keepdims", 0)] })],
      inputs: [value("x", types.float, ["n", 2])],
      outputs: [value("y", types.float, [])],
    }),
  })
  await assert.rejects(load(total), { code: "MODEL_REFUSED" })
  const column = model({
    graph: graph({
      nodes: [node("Transpose", ["x"], ["y"], { attributes: [intsAttribute("perm", [1, 0])] })],
      inputs: [value("x", types.float, ["n", 5])],
      outputs: [value("y", types.float, [null, "n"])],
    }),
  })
  await assert.rejects(load(column), { code: "MODEL_REFUSED", message: /no batch/ })
})

test("an answer that is no number is refused", async () => {
  const loaded = await load(one("Log", types.float, types.float, ["n"]))
  const body = (value_: number): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(`{"instances":[${value_}]}`))
  await assert.rejects(loaded.predict(-1), { code: "OUTPUT_INVALID" })
  await assert.rejects(loaded.predictJson(body(0)), { code: "OUTPUT_INVALID" })
  assert.deepEqual(await loaded.predict(1), { y: 0 })
})

test("what the runtime can't build is the model's fault, what it can't compute the question's", async () => {
  const unknown = one("NoSuchOperator", types.float, types.float, ["n"])
  await assert.rejects(load(unknown), { code: "MODEL_REFUSED", message: /NoSuchOperator/ })
  const four = model({
    graph: graph({
      nodes: [node("Add", ["x", "w"], ["y"])],
      inputs: [value("x", types.float, ["n", "m"])],
      outputs: [value("y", types.float, ["n", 4])],
      initializers: [floats("w", [4], [0, 0, 0, 1])],
    }),
  })
  const loaded = await load(four)
  await assert.rejects(loaded.predict([1, 2, 3]), { code: "INPUT_INVALID" })
  assert.deepEqual(await loaded.predict([1, 2, 3, 4]), { y: [1, 2, 3, 5] })
})

test("weights of another file are refused though they lie in the working directory; at publish too", async () => {
  const here = process.cwd()
  const folder = newFolder()
  writeFileSync(join(folder, "weights.bin"), new Uint8Array(24))
  const location = Buffer.concat([
    part(13, Buffer.concat([part(1, "location"), part(2, "weights.bin")])),
    Uint8Array.of(0x70, 1),
  ])
  const bytes = model({
    graph: graph({
      nodes: [node("Gemm", ["x", "w"], ["y"])],
      inputs: [value("x", types.float, ["n", 2])],
      outputs: [value("y", types.float, ["n", 3])],
      initializers: [tensor({ name: "w", dims: [2, 3], more: new Uint8Array(location) })],
    }),
  })
  process.chdir(folder)
  try {
    await assert.rejects(load(bytes), { code: "MODEL_REFUSED", message: /external data/ })
    const source = { format: "onnx", entrypoint: "model.onnx", files: new Map([["model.onnx", bytes]]) }
    await assert.rejects(checkLoadable(source), { code: "MODEL_REFUSED", message: /external data/ })
  } finally {
    process.chdir(here)
  }
})

test("a golden example is asked, and a wrong one refused", async () => {
  const files = (label: number): ReturnType<typeof verified> =>
    verified(
      {
        "model.onnx": one("Identity", types.int64, types.int64, ["n"]),
        "golden/input.json": '{"instances":[3]}',
        "golden/output.json": `{"predictions":[${label}],"tolerance":0.0001}`,
      },
      { format: "onnx", entrypoint: "model.onnx" },
    )
  const right = await loadVerified(files(3))
  open.push(right)
  assert.equal(right.engine.golden?.instances, 1)
  await assert.rejects(loadVerified(files(4)), { code: "MODEL_REFUSED", message: /golden/ })
})

test("served: rows, columns, types in the metadata", async () => {
  const loaded = await load(smallNetwork())
  const serving = await serveModels([{ name: "small", model: loaded }], { port: 0 })
  const url = `${serving.url}/v1/models/small`
  const answer = await fetch(`${url}:predict`, { method: "POST", body: '{"instances":[[1,2]]}' })
  const { predictions } = (await answer.json()) as { predictions: number[][] }
  assert.equal(predictions[0]?.length, 3)
  const { metadata } = (await (await fetch(`${url}/metadata`)).json()) as any
  assert.equal(metadata.signature_def.signature_def.serving_default.inputs.x.dtype, "DT_FLOAT")
  await serving.close()
})

test("1,000 loads leave no memory behind", { skip: !process.env["WEIGHLOCK_THOROUGH"] }, async () => {
  const big = model({
    graph: graph({
      nodes: [node("Gemm", ["x", "w"], ["y"])],
      inputs: [value("x", types.float, ["n", 1000])],
      outputs: [value("y", types.float, ["n", 1000])],
      initializers: [
        floats(
          "w",
          [1000, 1000],
          Array.from({ length: 1e6 }, () => 1),
        ),
      ],
    }),
  })
  let before = 0
  for (let at = 0; at < 1000; at++) {
    const loaded = await loadVerified(verified({ m: big }, { format: "onnx", entrypoint: "m" }))
    await loaded.dispose()
    if (at === 100) before = process.memoryUsage().rss
  }
  assert.ok(process.memoryUsage().rss - before < 200e6)
})
