/** What a caller may not ask: one line a case. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import assert from "node:assert/strict"
import { after, before, test } from "node:test"
import { loadVerified, type Instance, type Model } from "@weighlock/runtime"
import { dense, filesOf, save, tf } from "./support.ts"

let floats: Model
let integers: Model

before(async () => {
  floats = await loadVerified(
    filesOf(
      await save(tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2] }), tf.layers.dense({ units: 1 })] })),
    ),
  )
  const input = tf.input({ shape: [2], dtype: "int32", name: "words" })
  const embedded = tf.layers.embedding({ inputDim: 4, outputDim: 1 }).apply(input)
  integers = await loadVerified(filesOf(await save(tf.model({ inputs: input, outputs: embedded }))))
})

after(async () => {
  await floats.dispose()
  await integers.dispose()
})

const refusedFloats: Record<string, unknown> = {
  "a number": 1,
  "no value": undefined,
  null: null,
  "a string": "[[1,2],[3,4]]",
  "too few dimensions": [1, 2, 3, 4],
  "too many dimensions": [
    [[1], [2]],
    [[3], [4]],
  ],
  "ragged rows": [[1, 2], [3]],
  "a row too many": [
    [1, 2],
    [3, 4],
    [5, 6],
  ],
  "an empty list": [],
  "numbers as text": [
    ["1", "2"],
    ["3", "4"],
  ],
  "a hole": [
    [1, 2],
    [3, null],
  ],
  NaN: [
    [1, 2],
    [3, NaN],
  ],
  Infinity: [
    [1, 2],
    [3, Infinity],
  ],
  "more than a float32 holds": [
    [1, 2],
    [3, 1e39],
  ],
  "true among numbers": [
    [1, 2],
    [3, true],
  ],
  bigints: new BigInt64Array(4),
  "a short typed array": new Float32Array(3),
  "a long typed array": new Float32Array(5),
  "raw memory": new ArrayBuffer(16),
  "a data view": new DataView(new ArrayBuffer(4)),
  "another input's name": {
    picture: [
      [1, 2],
      [3, 4],
    ],
  },
  "base64 bytes": { b64: "AAAA" },
}

for (const [what, instance] of Object.entries(refusedFloats)) {
  test(`refused: ${what}`, async () => {
    await assert.rejects(floats.predict(instance as Instance), { code: "INPUT_INVALID" })
  })
}

for (const instance of [
  [0.5, 1],
  [2 ** 31, 0],
  [NaN, 0],
  [true, false],
  ["1", "2"],
]) {
  test(`refused as int32: ${JSON.stringify(instance)}`, async () => {
    await assert.rejects(integers.predict(instance), { code: "INPUT_INVALID" })
  })
}

test("the message names the input, what was expected and what was found", async () => {
  await assert.rejects(floats.predict([[1, 2, 3]]), /expected shape \[2,2\], found \[1,3\]/)
})

test("an index outside the vocabulary does not read beyond it", async () => {
  for (const words of [
    [0, 4],
    [-1, 0],
    [2 ** 31 - 1, 0],
  ]) {
    await assert.rejects(integers.predict(words), { code: "INPUT_INVALID" })
  }
  assert.equal(integers.failure, null)
  assert.ok(await integers.predict([0, 3]))
})

test("a single input may be named", async () => {
  const name = String(floats.inputs[0]?.name)
  assert.deepEqual(
    await floats.predict({
      [name]: [
        [1, 2],
        [3, 4],
      ],
    }),
    await floats.predict([
      [1, 2],
      [3, 4],
    ]),
  )
})

test("one bad instance refuses the batch; the next batch is answered", async () => {
  const good = [
    [1, 2],
    [3, 4],
  ]
  await assert.rejects(floats.predictBatch([good, [[1, 2], [3]]]), { code: "INPUT_INVALID" })
  assert.equal((await floats.predictBatch([good, good])).length, 2)
})

test("too many at once are refused, not queued without end", async () => {
  const answers = await Promise.allSettled(
    Array.from({ length: 200 }, () =>
      floats.predict([
        [1, 2],
        [3, 4],
      ]),
    ),
  )
  const refusals = answers.filter((answer) => answer.status === "rejected")
  assert.ok(refusals.length > 0 && refusals.length < 200)
  for (const { reason } of refusals) assert.equal((reason as { code: string }).code, "UNAVAILABLE")
})

test("after dispose there are no answers, and no hanging ones", async () => {
  const model = await loadVerified(filesOf(await save(dense())))
  const pending = model.predict([1, 2]).then(
    () => "answered",
    (error: { code: string }) => error.code,
  )
  await model.dispose()
  await model.dispose()
  assert.ok(["answered", "UNAVAILABLE"].includes(await pending))
  await assert.rejects(model.predict([1, 2]), { code: "UNAVAILABLE" })
  assert.notEqual(model.failure, null)
})
