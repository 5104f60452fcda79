/** What a publisher is told before anything is signed: just what every load would say. */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { checkLoadable, isLoadable, loadVerified, type UnverifiedModel } from "@weighlock/runtime"
import { dense, filesOf, mnistLike, type SavedModel, save, tf, twoHeaded, weightFile } from "./support.ts"
import { sample } from "../support/thorough.ts"

let tiny: SavedModel
let image: SavedModel

before(async () => {
  tiny = await save(dense(3, 2))
  image = await save(mnistLike())
})

function sourceOf({ json, weights }: SavedModel): UnverifiedModel {
  const text = Buffer.from(JSON.stringify(json))
  const files = new Map<string, Uint8Array>([
    ["model.json", text],
    [weightFile, weights],
  ])
  return { format: "tfjs-layers", entrypoint: "model.json", files }
}

type Json = SavedModel["json"]
function changed(saved: SavedModel, change: (json: Json) => void): SavedModel {
  const json = structuredClone(saved.json)
  change(json)
  return { ...saved, json }
}

const layer = (json: Json, at: number) => json.modelTopology.config.layers[at].config as Record<string, unknown>
const firstWeight = (json: Json) => json.weightsManifest[0].weights[0] as Record<string, unknown>

const unloadable: Record<string, () => SavedModel> = {
  "a layer with code": () => changed(tiny, (json) => (json.modelTopology.config.layers[0].class_name = "Lambda")),
  "weights that are cut": () => ({ ...tiny, weights: tiny.weights.slice(4) }),
  "more units than weights": () => changed(tiny, (json) => (layer(json, 0)["units"] = 4)),
  "fewer units than weights": () => changed(tiny, (json) => (layer(json, 0)["units"] = 2)),
  "a bias that the layer does not have": () => changed(tiny, (json) => (layer(json, 0)["use_bias"] = false)),
  "a layer of another name": () => changed(tiny, (json) => (layer(json, 0)["name"] = "elsewhere")),
  "a weight that is turned": () => changed(tiny, (json) => (firstWeight(json)["shape"] = [3, 2])),
  "a weight of another type": () => changed(tiny, (json) => (firstWeight(json)["dtype"] = "int32")),
  "a layer too few": () => changed(image, (json) => json.modelTopology.config.layers.splice(5, 1)),
  "a kernel larger than the image": () => changed(image, (json) => (layer(json, 1)["kernel_size"] = [30, 30])),
  "a shape of other numbers": () => changed(image, (json) => (layer(json, 0)["target_shape"] = [28, 27, 1])),
  "a setting that is missing": () => changed(image, (json) => delete layer(json, 1)["filters"]),
}

test("what these are made from loads, before it is signed and after", async () => {
  for (const saved of [tiny, image, await save(twoHeaded())]) {
    await checkLoadable(sourceOf(saved))
    await (await loadVerified(filesOf(saved), { device: "js" })).dispose()
  }
})

for (const [what, make] of sample(Object.entries(unloadable), 2)) {
  test(`refused before it is signed, with the words of the loader: ${what}`, async () => {
    const saved = make()
    let said = ""
    const loading = loadVerified(filesOf(saved), { device: "js" })
    await assert.rejects(loading, ({ message }: Error) => Boolean((said = message)))
    await assert.rejects(checkLoadable(sourceOf(saved)), { code: "MODEL_REFUSED", message: said })
  })
}

test("an entrypoint that is not there is refused; a format without a loader is left alone", async () => {
  await assert.rejects(checkLoadable({ ...sourceOf(tiny), entrypoint: "other.json" }), { code: "MODEL_REFUSED" })
  assert.deepEqual([isLoadable("tfjs-layers"), isLoadable("onnx"), isLoadable("gguf")], [true, true, false])
  await checkLoadable({ format: "saved-model", entrypoint: "saved_model.pb", files: new Map() })
})

test("gigabytes that a topology declares are never allocated; the caller's bytes stay; who leaves is let go", async () => {
  const vast = await save(tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [2], name: "vast" })] }))
  const declared = changed(vast, (json) => (layer(json, 0)["units"] = 1e9))
  await assert.rejects(checkLoadable(sourceOf(declared)), { code: "MODEL_REFUSED" })
  const source = sourceOf(tiny)
  const before = [...source.files.values()].map((bytes) => Buffer.from(bytes).toString("hex"))
  await checkLoadable(source)
  assert.deepEqual(
    [...source.files.values()].map((bytes) => Buffer.from(bytes).toString("hex")),
    before,
  )
  const left = new Error("left")
  await assert.rejects(checkLoadable(source, { signal: AbortSignal.abort(left) }), left)
})
