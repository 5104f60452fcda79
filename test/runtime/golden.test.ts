/** Golden examples: what a publisher computes, and what every load asks again. */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { answerGolden, checkLoadable, loadVerified } from "@weighlock/runtime"
import { dense, filesOf, type SavedModel, save, tf, twoHeaded, verified, weightFile } from "./support.ts"
import { sample } from "../support/thorough.ts"

const question = '{"instances":[[1,2],[-3,0.5]]}'
let tiny: SavedModel
let heads: SavedModel

before(async () => {
  tiny = await save(dense(3, 2))
  heads = await save(twoHeaded())
})

function contents({ json, weights }: SavedModel): Record<string, string | Uint8Array> {
  return { "model.json": JSON.stringify(json), [weightFile]: weights }
}

function sourceOf(saved: SavedModel, more: Record<string, string> = {}) {
  const files = Object.entries({ ...contents(saved), ...more }).map(
    ([name, content]) => [name, Buffer.from(content)] as const,
  )
  return { format: "tfjs-layers", entrypoint: "model.json", files: new Map<string, Uint8Array>(files) }
}

interface Output {
  predictions: unknown[]
  tolerance: unknown
}

async function goldenOf(saved: SavedModel, input: string): Promise<Output> {
  const { engine, output } = await answerGolden(sourceOf(saved), Buffer.from(input))
  assert.equal(engine, "js")
  return JSON.parse(Buffer.from(output).toString()) as Output
}

const load = (saved: SavedModel, golden: Record<string, string>, device = "auto") =>
  loadVerified(verified({ ...contents(saved), ...golden }), { device })

const both = (input: string, output: unknown) => ({
  "golden/input.json": input,
  "golden/output.json": typeof output === "string" ? output : JSON.stringify(output),
})

test("what publish computes is what every engine answers at load", async () => {
  const output = await goldenOf(tiny, question)
  assert.equal(output.predictions.length, 2)
  assert.equal(output.tolerance, 1e-4)
  for (const device of ["wasm", "js"]) {
    const model = await load(tiny, both(question, output), device)
    assert.deepEqual(model.engine.golden, { instances: 2, tolerance: 1e-4, loose: false })
    await model.dispose()
  }
})

test("several inputs and outputs go by name; columns are a question too", async () => {
  const rows = '{"instances":[{"a":[1,2],"b":[3,4,5]}]}'
  const expected = { predictions: [{ sum: [15], pair: [15, 15] }], tolerance: 1e-4 }
  assert.deepEqual(await goldenOf(heads, rows), expected)
  for (const input of [rows, '{"inputs":{"a":[[1,2]],"b":[[3,4,5]]}}']) {
    await (await load(heads, both(input, expected))).dispose()
  }
  const columns = { predictions: { sum: [[15]], pair: [[15, 15]] } }
  await assert.rejects(load(heads, both(rows, columns)), { code: "MODEL_REFUSED" })
})

test("a wrong answer is refused, and says where", async () => {
  const output = await goldenOf(tiny, question)
  const [first] = output.predictions as number[][]
  first![1]! += 0.01
  for (const device of ["auto", "cpu", "wasm", "js"]) {
    await assert.rejects(load(tiny, both(question, output), device), (error: Error & { code: string }) => {
      assert.equal(error.code, "MODEL_REFUSED")
      assert.match(error.message, /golden example at \[0\]\[1\]/)
      return true
    })
  }
})

test("a tolerance takes what lies within it; a wide one is called loose", async () => {
  const output = await goldenOf(tiny, question)
  const [first] = output.predictions as number[][]
  first![1]! += 0.01
  for (const [tolerance, loose] of [
    [0.011, true],
    [0.5, true],
  ] as const) {
    const model = await load(tiny, both(question, { ...output, tolerance }))
    assert.deepEqual(model.engine.golden, { instances: 2, tolerance, loose })
    await model.dispose()
  }
})

test("an example that takes too long is refused", async () => {
  const steps = 20_000 // seconds of plain JavaScript, on any machine
  const network = tf.sequential({
    layers: [tf.layers.simpleRNN({ units: 1, inputShape: [steps, 1], recurrentInitializer: "ones" })],
  })
  const input = JSON.stringify({ instances: [Array.from({ length: steps }, () => [0])] })
  const files = verified({ ...contents(await save(network)), ...both(input, { predictions: [[0]] }) })
  const loading = loadVerified(files, { device: "js", goldenTimeout: 20 })
  await assert.rejects(loading, { code: "MODEL_REFUSED", message: /not answered within 20 ms/ })
})

test("a model without one says so", async () => {
  const model = await loadVerified(filesOf(tiny))
  assert.equal(model.engine.golden, null)
  await model.dispose()
})

const good = '{"predictions":[[0,0,0],[0,0,0]],"tolerance":1000}'
const malformed: Record<string, Record<string, string>> = {
  "input alone": { "golden/input.json": question },
  "output alone": { "golden/output.json": good },
  "an empty input": both("", good),
  "an input that is a list": both("[[1,2]]", good),
  "an input without instances": both("{}", good),
  "an input of no instance": both('{"instances":[]}', good),
  "an input of more than 1 MiB": both(question + " ".repeat(2 ** 20), good),
  "an empty output": both(question, ""),
  "an output that is a list": both(question, "[[0,0,0],[0,0,0]]"),
  "an output without predictions": both(question, '{"tolerance":1000}'),
  "an output of more than 1 MiB": both(question, good + " ".repeat(2 ** 20)),
  "NaN for a prediction": both(question, good.replace("[[0", "[[NaN")),
  "1e999 for a prediction": both(question, good.replace("[[0", "[[1e999")),
  "a prediction too few": both(question, '{"predictions":[[0,0,0]],"tolerance":1000}'),
  "a negative tolerance": both(question, good.replace("1000", "-1")),
  "a tolerance of text": both(question, good.replace("1000", '"1000"')),
  "no number for a tolerance": both(question, good.replace("1000", "null")),
  "an endless tolerance": both(question, good.replace("1000", "1e999")),
  "a field that means nothing": both(question, good.replace("{", '{"atol":1,')),
}

/** Well formed, and no example of this model. */
const misfits: typeof malformed = {
  "an input of another shape": both('{"instances":[[1,2,3],[1,2,3]]}', good),
  "an input of text": both('{"instances":[["1","2"],["1","2"]]}', good),
  "null for a prediction": both(question, good.replace("[[0", "[[null")),
  "text for a prediction": both(question, good.replace("[[0", '[["0"')),
  "a number too few": both(question, '{"predictions":[[0,0],[0,0,0]],"tolerance":1000}'),
  "a number too many": both(question, '{"predictions":[[0,0,0,0],[0,0,0]],"tolerance":1000}'),
  "a list too deep": both(question, '{"predictions":[[[0,0,0]],[0,0,0]],"tolerance":1000}'),
  "predictions by name": both(question, '{"predictions":[{"out":[0,0,0]},{"out":[0,0,0]}],"tolerance":1000}'),
}

test("what the malformed ones start from loads", async () => (await load(tiny, both(question, good))).dispose())

test("a model with a good example passes before it is signed", () =>
  checkLoadable(sourceOf(tiny, both(question, good))))

for (const [name, golden] of Object.entries(malformed)) {
  test(`refused before it is signed: ${name}`, async () => {
    await assert.rejects(checkLoadable(sourceOf(tiny, golden)), { code: "MODEL_REFUSED" })
  })
}

test("what is malformed is refused at load as well", () =>
  assert.rejects(load(tiny, malformed["an empty output"]!), { code: "MODEL_REFUSED" }))

for (const [name, golden] of sample(Object.entries(misfits), 3)) {
  test(`refused at load, and before it is signed: ${name}`, async () => {
    await assert.rejects(load(tiny, golden), { code: "MODEL_REFUSED" })
    await assert.rejects(checkLoadable(sourceOf(tiny, golden)), { code: "MODEL_REFUSED" })
  })
}

test("a question that is none is refused; the caller's bytes stay", async () => {
  const onnx = { format: "onnx", entrypoint: "model.onnx", files: new Map<string, Uint8Array>() }
  await assert.rejects(answerGolden(onnx, Buffer.from(question)), { code: "MODEL_REFUSED" })
  const source = sourceOf(tiny)
  for (const input of ["", "[]", '{"instances":[[1]]}', '{"instances":[["a","b"]]}', question + " ".repeat(2 ** 20)]) {
    await assert.rejects(answerGolden(source, Buffer.from(input)), { code: "INPUT_INVALID" })
  }
  assert.equal(source.files.get(weightFile)?.length, tiny.weights.length)
  const reason = new Error("enough")
  await assert.rejects(answerGolden(source, Buffer.from(question), { signal: AbortSignal.abort(reason) }), reason)
})

test("an example among the files is no reason not to compute a new one", async () => {
  const { output } = await answerGolden(sourceOf(tiny, { "golden/input.json": "old" }), Buffer.from(question))
  assert.ok(output.length > 0)
})
