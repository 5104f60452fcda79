/** An engine that answers wrong is found before it answers anybody: the faults are planted in its kernels. */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { createRequire } from "node:module"
import { afterEach, before, test } from "node:test"
import { filesOf, type SavedModel, save, tf } from "./support.ts"

type Any = any

// In this thread, so that the faults can be planted; the library is the one that the engines use.
const { selectEngine } = (await import(
  new URL("../../packages/runtime/src/engines/select.ts", import.meta.url).href
)) as { selectEngine: (request: object) => Promise<{ report: { name: string; rehearsal: string; passedOver: Any[] } }> }
createRequire(createRequire(import.meta.url).resolve("@weighlock/runtime/package.json"))(
  "@tensorflow/tfjs-backend-wasm",
)

const kernelName = "_FusedMatMul"
let saved: SavedModel
let withNaN: SavedModel
let undo = (): void => undefined

before(async () => {
  await tf.setBackend("cpu")
  const network = tf.sequential({
    layers: [
      tf.layers.dense({ units: 3, inputShape: [2], activation: "relu", biasInitializer: "ones", name: "hidden" }),
      tf.layers.dense({ units: 2, biasInitializer: "ones", name: "out" }),
    ],
  })
  saved = await save(network)
  const [kernel, bias, ...rest] = network.getWeights()
  network.setWeights([kernel, tf.tensor([NaN, 1, 1], bias.shape), ...rest])
  withNaN = await save(network)
})

afterEach(async () => {
  undo()
  await tf.setBackend("cpu") // the next network is made there
})

const load = (model: SavedModel, device = "cpu") => {
  const { files, manifest } = filesOf(model)
  return selectEngine({ ...manifest, device, files: [...files.values()] })
}

const pristine = tf.getKernel(kernelName, "wasm")

/** The engine puts its checks around whatever kernel it finds. */
function plant(change: (call: Any, kernel: (call: Any) => Any) => Any): void {
  const replace = (kernelFunc: Any): void => {
    tf.unregisterKernel(kernelName, "wasm")
    tf.registerKernel({ ...pristine, kernelFunc })
  }
  replace((call: Any) => change(call, pristine.kernelFunc))
  undo = () => replace(pristine.kernelFunc)
}

function changeValues(change: (value: number) => number) {
  return (call: Any, kernel: (call: Any) => Any): Any => {
    const made = kernel(call)
    const values = call.backend.typedArrayFromHeap(made)
    values.set(values.map(change))
    return made
  }
}

test("nothing planted: WebAssembly agrees with plain JavaScript, which is compared with nothing", async () => {
  const onWasm = await load(saved)
  assert.deepEqual([onWasm.report.name, onWasm.report.rehearsal], ["wasm", "agrees with js"])
  assert.equal((await load(saved, "js")).report.rehearsal, "is js")
  assert.equal((await load(withNaN)).report.rehearsal, "agrees with js")
})

const faults: Record<string, () => void> = {
  zeros: () => plant(changeValues(() => 0)),
  "a sign": () => plant(changeValues((value) => -value)),
  "a thousandth": () => plant(changeValues((value) => value * 1.001)),
  "a dropped bias": () => plant(({ inputs: { bias: _, ...inputs }, ...call }, kernel) => kernel({ ...call, inputs })),
}

for (const [name, fault] of Object.entries(faults)) {
  test(`found: ${name}`, async () => {
    fault()
    const { report } = await load(saved)
    assert.equal(report.name, "js")
    assert.match(report.passedOver[0].why, /to a first question, where js answers/)
    assert.equal(report.passedOver[0].wrong, true)
    await assert.rejects(load(saved, "wasm"), { code: "MODEL_REFUSED" })
  })
}

test("found: a swallowed NaN", async () => {
  plant(changeValues((value) => (Number.isFinite(value) ? value : 0)))
  const { report } = await load(withNaN)
  assert.equal(report.name, "js")
  assert.match(report.passedOver[0].why, /only finite values inside, where js does not/)
})

test("found: a kernel that gives up", async () => {
  plant(() => {
    throw new Error("raw words of a library")
  })
  const { report } = await load(saved)
  assert.equal(report.name, "js")
  assert.doesNotMatch(report.passedOver[0].why, /raw words/)
})

test("a model that takes too long to compare says so", async () => {
  const network = tf.sequential({
    layers: [tf.layers.conv2d({ filters: 16, kernelSize: 3, inputShape: [300, 300, 1] })],
  })
  const { report } = await load(await save(network))
  assert.deepEqual([report.name, report.rehearsal], ["wasm", "not compared with js: it would take too long"])
})

test("a sum of a hundred thousand terms may be rounded in another order", async () => {
  const kernelInitializer = tf.initializers.randomNormal({ stddev: 0.05, seed: 1 })
  const network = tf.sequential({
    layers: [tf.layers.dense({ units: 10, inputShape: [100_352], kernelInitializer })],
  })
  const { report } = await load(await save(network))
  assert.equal(report.name, "wasm", JSON.stringify(report.passedOver))
})

test("sizes that a model leaves open are tried", async () => {
  const network = tf.sequential({
    layers: [
      tf.layers.embedding({ inputDim: 12, outputDim: 3, inputShape: [null] }),
      tf.layers.conv1d({ filters: 2, kernelSize: 20 }),
      tf.layers.globalMaxPooling1d({}),
    ],
  })
  assert.equal((await load(await save(network))).report.rehearsal, "agrees with js")
})
