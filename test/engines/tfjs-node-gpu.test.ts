/**
 * The GPU engine's contract, on the real JavaScript of @tensorflow/tfjs-node-gpu 4.22.0: a GPU only when the binding says
 * so, otherwise refused; never the CPU under a GPU's name.
 */
import assert from "node:assert/strict"
import { afterEach, test } from "node:test"
import { loadVerified, type Model } from "../../packages/runtime/src/index.ts"
import { close, filesOf, save, tf } from "../runtime/support.ts"
import { asInstalled, folderWith, overFakeBinding, removeFolders } from "./installation.ts"

const here = process.cwd()
const network = tf.sequential({
  layers: [
    tf.layers.dense({ units: 4, inputShape: [3], name: "hidden" }),
    tf.layers.dense({ units: 2, activation: "softmax", name: "prob", biasInitializer: "glorotNormal" }),
  ],
})

afterEach(() => {
  process.chdir(here)
  delete process.env["WEIGHLOCK_FAKE_GPU"]
  delete process.env["WEIGHLOCK_ENGINES"]
  removeFolders()
})

/** In `cwd`, with `engines` as WEIGHLOCK_ENGINES. */
async function load(device: string, cwd: string, gpu: boolean, engines?: string, source = network): Promise<Model> {
  process.chdir(cwd)
  if (gpu) process.env["WEIGHLOCK_FAKE_GPU"] = "yes"
  if (engines !== undefined) process.env["WEIGHLOCK_ENGINES"] = engines
  return loadVerified(filesOf(await save(source)), { device })
}

for (const device of ["gpu", "auto", "tfjs-node-gpu"]) {
  test(`${device}: a binding with a CUDA device is used, and answers`, async () => {
    const model = await load(device, overFakeBinding(), true)
    assert.deepEqual([model.engine.name, model.engine.device], ["tfjs-node-gpu", "gpu"])
    const expected = await network.predict(tf.tensor2d([[1, -2, 3]])).data()
    const { prob } = await model.predict([1, -2, 3])
    assert.ok(close(prob as number[], [...expected]))
    await model.dispose()
  })
}

test("a value that is not finite is refused, also where a softmax would hide it", async () => {
  const spoiled = await save(network)
  const values = new Float32Array(spoiled.weights.buffer)
  values[0] = NaN
  process.chdir(overFakeBinding())
  process.env["WEIGHLOCK_FAKE_GPU"] = "yes"
  const model = await loadVerified(filesOf(spoiled), { device: "gpu" })
  await assert.rejects(model.predict([1, -2, 3]), { code: "OUTPUT_INVALID" })
  await model.dispose()
})

for (const device of ["gpu", "tfjs-node-gpu"]) {
  test(`${device}: a binding without a CUDA device is refused`, async () => {
    await assert.rejects(load(device, overFakeBinding(), false), { code: "DEVICE_UNAVAILABLE" })
  })

  test(`${device}: a package without native code is refused`, async () => {
    await assert.rejects(load(device, asInstalled(), true), { code: "DEVICE_UNAVAILABLE" })
  })

  test(`${device}: no package is refused`, async () => {
    await assert.rejects(load(device, folderWith(), true), { code: "DEVICE_UNAVAILABLE" })
  })
}

test("auto passes a binding without a CUDA device over, and says so", async () => {
  const model = await load("auto", overFakeBinding(), false)
  assert.deepEqual([model.engine.name, model.engine.device], ["wasm", "cpu"])
  assert.match(model.engine.passedOver[0]?.why ?? "", /no CUDA device/)
  await model.dispose()
})

test("an operation the device lacks: auto passes it over when the model loads, gpu is refused", async () => {
  const relu = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1], activation: "relu" })] })
  const model = await load("auto", overFakeBinding(), true, undefined, relu)
  assert.equal(model.engine.name, "wasm")
  await model.dispose()
  await assert.rejects(load("gpu", overFakeBinding(), true, undefined, relu), { code: "DEVICE_UNAVAILABLE" })
})

test("cpu never touches the GPU package", async () => {
  const model = await load("cpu", folderWith("throw new Error('loaded')"), true)
  assert.deepEqual([model.engine.name, model.engine.passedOver], ["wasm", []])
  await model.dispose()
})

test("WEIGHLOCK_ENGINES is where to look after the working directory", async () => {
  const model = await load("gpu", folderWith(), true, overFakeBinding())
  assert.equal(model.engine.name, "tfjs-node-gpu")
  await model.dispose()
})

test("the working directory comes first, and a broken package there is not skipped for the next", async () => {
  const broken = folderWith("throw new Error('broken')")
  await assert.rejects(load("gpu", broken, true, overFakeBinding()), { code: "DEVICE_UNAVAILABLE" })
})

test("a package that hands out another backend is refused", async () => {
  const impostor = folderWith(`
    module.exports = { enableProdMode() {}, async ready() {}, getBackend: () => "cpu", backend: () => ({ isUsingGpuDevice: true }) }`)
  await assert.rejects(load("gpu", impostor, true), { code: "DEVICE_UNAVAILABLE" })
})

for (const claim of ["undefined", "'yes'", "1", "{}"]) {
  test(`isUsingGpuDevice ${claim} is not true`, async () => {
    const vague = folderWith(`
      module.exports = { enableProdMode() {}, async ready() {}, getBackend: () => "tensorflow", backend: () => ({ isUsingGpuDevice: ${claim} }) }`)
    await assert.rejects(load("gpu", vague, true), { code: "DEVICE_UNAVAILABLE" })
  })
}
