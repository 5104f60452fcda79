/**
 * Models that are signed, logged and hostile: whoever publishes one hears of it before it is signed, and where he insists
 * (--no-load-check) whoever loads it refuses it. Nothing but the model's own files is read.
 */
import assert from "node:assert/strict"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, before, test } from "node:test"
import { Cli } from "../support/cli.ts"
import { dataset, type GroupParts, hdf5, join as bytes, le } from "../support/hdf5-file.ts"
import * as onnx from "../support/onnx-file.ts"
import { zip } from "../support/zip-file.ts"

const cli = new Cli()
before(async () => {
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  const { announced } = await cli.start(
    "registry",
    "serve",
    "--data",
    "data",
    "--trust",
    "reg/trust.json",
    "--log-level",
    "silent",
  )
  Object.assign(cli.env, { WEIGHLOCK_REGISTRY: announced.url, WEIGHLOCK_TRUST: cli.path("reg", "trust.json") })
})
after(() => cli.close())

const external = bytes(onnx.part(13, bytes(onnx.part(1, "location"), onnx.part(2, "weights.bin"))), onnx.int(14, 1))
const onnxOf = (node: Uint8Array, initializers: readonly Uint8Array[] = []): Uint8Array =>
  onnx.model({
    graph: onnx.graph({
      nodes: [node],
      inputs: [onnx.value("x", 1, ["n", 2])],
      outputs: [onnx.value("y", 1, ["n", 2])],
      initializers,
    }),
  })
const config = (...layers: readonly object[]): string =>
  JSON.stringify({ class_name: "Sequential", config: { name: "m", layers } })
const dense = { class_name: "Dense", config: { name: "d", units: 2, use_bias: false, batch_input_shape: [null, 2] } }
const lambda = {
  class_name: "Lambda",
  config: { name: "l", function: ["4wEAAA==", null, null], batch_input_shape: [null, 2] },
}
const kernel = dataset([2, 2], new Float32Array(4))
const h5 = (model: string, weights: NonNullable<GroupParts["members"]> = { kernel }): Uint8Array =>
  hdf5({
    attributes: { model_config: model },
    members: {
      model_weights: {
        attributes: { layer_names: ["d"] },
        members: { d: { attributes: { weight_names: ["kernel"] }, members: weights } },
      },
    },
  })
const keras = (weights: Uint8Array, more: Parameters<typeof zip>[0] = []): Uint8Array =>
  zip([
    { name: "metadata.json", content: '{"keras_version":"3.15.1"}' },
    { name: "config.json", content: config(dense) },
    { name: "model.weights.h5", content: weights },
    ...more,
  ])
const graph = (...nodes: readonly object[]): string =>
  JSON.stringify({ format: "graph-model", modelTopology: { node: nodes }, weightsManifest: [] })
const placeholder = {
  name: "x",
  op: "Placeholder",
  attr: { dtype: { type: "DT_FLOAT" }, shape: { shape: { dim: [{ size: "-1" }, { size: "2" }] } } },
}

const attacks: Readonly<Record<string, Readonly<Record<string, string | Uint8Array>>>> = {
  "ONNX weights in another file": {
    "model.onnx": onnxOf(onnx.node("Add", ["x", "w"], ["y"]), [onnx.tensor({ dims: [2], more: external })]),
    "weights.bin": new Uint8Array(8),
  },
  "ONNX operators of somebody": { "model.onnx": onnxOf(onnx.node("Relu", ["x"], ["y"], { domain: "com.evil" })) },
  "an ONNX tensor of terabytes": {
    "model.onnx": onnxOf(onnx.node("ConstantOfShape", ["s"], ["y"]), [onnx.longs("s", [2], [2 ** 20, 2 ** 20])]),
  },
  "HDF5 weights in another file": {
    "model.h5": h5(config(dense), { kernel: { ...kernel, messages: [{ type: 0x07, body: new Uint8Array(24) }] } }),
  },
  "an HDF5 link": { "model.h5": h5(config(dense), { kernel: { link: "soft" } }) },
  "a virtual dataset": {
    "model.h5": h5(config(dense), { kernel: { ...kernel, layout: () => bytes(le(1, 4, 3), le(8, 0, 0)) } }),
  },
  "a filter": {
    "model.h5": h5(config(dense), {
      kernel: { ...kernel, messages: [{ type: 0x0b, body: bytes(le(1, 1, 1), new Uint8Array(22)) }] },
    }),
  },
  "an HDF5 shape of terabytes": { "model.h5": h5(config(dense), { kernel: { ...kernel, shape: [2 ** 20, 2 ** 20] } }) },
  "code in a Lambda layer": { "model.h5": h5(config(lambda)) },
  "a zip bomb": {
    "model.keras": keras(hdf5({}), [{ name: "bomb", content: new Uint8Array(1000), deflate: true, size: 2 ** 31 }]),
  },
  "a zip member over another": { "model.keras": keras(hdf5({}), [{ name: "other", content: "x", offset: 0 }]) },
  "weights of another layer": {
    "model.keras": keras(
      hdf5({
        members: {
          layers: {
            members: { dense: { members: { vars: { attributes: { name: "other" }, members: { "0": kernel } } } } },
          },
        },
      }),
    ),
  },
  "a graph that reads files": { "model.json": graph(placeholder, { name: "y", op: "ReadFile", input: ["x"] }) },
  "a graph without end": { "model.json": graph(placeholder, { name: "y", op: "While", input: ["x"] }) },
}

let count = 0
for (const [what, files] of Object.entries(attacks))
  test(`signed and refused: ${what}`, async () => {
    const folder = cli.path("model")
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
    const name = `acme/attack-${++count}`
    const publish = ["publish", "model", "--as", `${name}@1.0.0`] as const
    assert.deepEqual(await cli.refusal(...publish), { exit: 17, code: "MODEL_REFUSED" })
    await cli.json(...publish, "--no-load-check")
    assert.deepEqual(await cli.refusal("serve", `${name}@1.0.0`, "--port", "0"), { exit: 17, code: "MODEL_REFUSED" })
  })
