/** `device` fails closed: what was asked for, or a refusal that says why. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { engineNames, loadModel, loadVerified } from "@weighlock/runtime"
import { dense, filesOf, save } from "./support.ts"

for (const device of ["gpu", "tfjs-node-gpu"]) {
  test(`${device} without a GPU is refused`, async () => {
    await assert.rejects(loadVerified(filesOf(await save(dense())), { device }), { code: "DEVICE_UNAVAILABLE" })
  })
}

for (const device of ["", "GPU", "cuda", "tpu", "webgpu", "constructor"]) {
  test(`no device ${JSON.stringify(device)}`, async () => {
    await assert.rejects(loadVerified(filesOf(await save(dense())), { device }), { code: "USAGE" })
    await assert.rejects(loadModel("acme/mnist@1.2.0", { trust: "nowhere.json", device }), { code: "USAGE" })
  })
}

test("auto takes the fastest that is here and says what it passed over", async () => {
  const model = await loadVerified(filesOf(await save(dense())))
  assert.equal(model.engine.name, "wasm")
  assert.deepEqual(
    model.engine.passedOver.map(({ name }) => name),
    ["tfjs-node-gpu"],
  )
  await model.dispose()
})

test("the engines, fastest first", () => {
  assert.deepEqual(engineNames, ["tfjs-node-gpu", "wasm", "js"])
})

test("loading ends when told to, and when it takes too long", async () => {
  const saved = await save(dense())
  const controller = new AbortController()
  const loading = loadVerified(filesOf(saved), { signal: controller.signal })
  controller.abort(new Error("enough"))
  await assert.rejects(loading, { message: "enough" })
  await assert.rejects(loadVerified(filesOf(saved), { signal: AbortSignal.abort() }), { name: "AbortError" })
  await assert.rejects(loadVerified(filesOf(saved), { loadTimeout: 1 }), { code: "UNAVAILABLE" })
})
