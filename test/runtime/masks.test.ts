/** Masks: where the library heeds another one than Keras, the model is refused; test/matrix holds the answers. */
/* oxlint-disable typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { test } from "node:test"
import { loadVerified } from "@weighlock/runtime"
import { filesOf, save, tf } from "./support.ts"
import { sample } from "../support/thorough.ts"

const { layers } = tf
const zeros = { recurrentInitializer: "zeros" }
const words = (maskZero = true): unknown =>
  layers.embedding({ inputDim: 5, outputDim: 3, maskZero, inputLength: 4, name: "words" })

async function load(...chain: unknown[]): Promise<void> {
  const model = await loadVerified(filesOf(await save(tf.sequential({ layers: chain }))), { device: "js" })
  await model.predict([1, 2, 0, 0])
  await model.dispose()
}

const right: Record<string, () => unknown[]> = {
  "a memory behind a mask": () => [words(), layers.lstm({ units: 2, ...zeros })],
  "a memory that keeps the steps, and another": () => [
    words(),
    layers.gru({ units: 2, returnSequences: true, resetAfter: false, ...zeros }),
    layers.lstm({ units: 2, ...zeros }),
  ],
  "a mean without a mask": () => [words(false), layers.globalAveragePooling1d({})],
  "a mask that nobody heeds": () => [words(), layers.flatten(), layers.dense({ units: 2 })],
}

const wrong: Record<string, () => unknown[]> = {
  "a mean over masked steps": () => [words(), layers.globalAveragePooling1d({ name: "out" })],
  "a memory behind steps of its own": () => [
    words(),
    layers.simpleRNN({ units: 2, ...zeros }),
    layers.repeatVector({ n: 4 }),
    layers.simpleRNN({ units: 2, name: "out", ...zeros }),
  ],
  "both ways over masked steps": () => [
    words(),
    layers.bidirectional({ layer: layers.lstm({ units: 2, returnSequences: true, ...zeros }), name: "out" }),
  ],
}

for (const [name, chain] of sample(Object.entries(right), 2)) test(`answered: ${name}`, () => load(...chain()))

for (const [name, chain] of Object.entries(wrong)) {
  test(`refused: ${name}`, async () => {
    await assert.rejects(load(...chain()), { code: "MODEL_REFUSED", message: /layer out .*masks/ })
  })
}
