/** `device` fails closed: what was asked for, or a refusal that says why. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies, and hostile JSON has none */
import assert from "node:assert/strict"
import { test } from "node:test"
import {
  ClientError,
  CodedError,
  engineNames,
  loadModel,
  loadVerified,
  ManifestError,
  RuntimeError,
} from "@weighlock/runtime"
import type { VerifiedFile, VerifiedFiles } from "@weighlock/client"
import { dense, filesOf, save, tf, weightFile } from "./support.ts"

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

test("the engines, fastest first of each format", () => {
  assert.deepEqual(engineNames, [
    "tfjs-node-gpu",
    "wasm",
    "js",
    "onnxruntime-cuda",
    "onnxruntime-webgpu",
    "onnxruntime",
  ])
})

test("a model that WebAssembly has no room for goes to the next engine, not to wrong answers", async () => {
  const words = 300_000_000 // 1.2 GB of weights, of which no page is touched
  const { json } = await save(
    tf.sequential({ layers: [tf.layers.embedding({ inputDim: 1, outputDim: 1, inputShape: [1], name: "out" })] }),
  )
  json.modelTopology.config.layers[0].config.input_dim = words
  json.weightsManifest[0].weights[0].shape = [words, 1]
  const large = (): VerifiedFiles => {
    const bytes = new Uint8Array(words * 4)
    const files = new Map(filesOf({ json, weights: new Uint8Array(0) }).files)
    files.set(weightFile, { name: weightFile, size: bytes.length, digest: "", bytes } as unknown as VerifiedFile)
    return { ...filesOf({ json, weights: new Uint8Array(0) }), files }
  }
  await assert.rejects(loadVerified(large(), { device: "wasm" }), { code: "DEVICE_UNAVAILABLE" })
  const model = await loadVerified(large())
  assert.equal(model.engine.name, "js")
  assert.deepEqual(await model.predict([2 ** 24 - 1]), { out: [[0]] })
  await model.dispose()
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

test("what is missing is said, and whatever is thrown has a class of this package", async () => {
  const calls: readonly (readonly [unknown, unknown, RegExp])[] = [
    ["acme/mnist@1.0.0", {}, /the option trust is missing/],
    ["acme/mnist@1.0.0", undefined, /the option trust is missing/],
    ["./folder", { bundle: "b.json" }, /the option trust is missing/],
    ["acme/mnist@1.0.0", { trust: "" }, /the option trust is missing/],
    ["acme/mnist@1.0.0", { trust: `sha256:${"0".repeat(64)}` }, /where the registry is/],
    ["acme/mnist@1.0.0", { trust: "x", device: "abacus" }, /abacus/],
    [undefined, {}, /the reference is missing/],
    ["acme/mnist", { trust: "x" }, /names no version/],
  ]
  for (const [reference, options, message] of calls)
    await assert.rejects(loadModel(reference as string, options as { trust: string }), (error: unknown) => {
      assert.ok(error instanceof ClientError || error instanceof ManifestError || error instanceof RuntimeError)
      assert.ok(error instanceof CodedError)
      assert.equal(error.code, "USAGE")
      assert.match(error.message, message)
      return true
    })
})
