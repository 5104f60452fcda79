/**
 * Peak memory of loading a model and answering once, beyond that of a process that does the same with a tiny one, over the
 * model's bytes. Each in a process of its own; Linux only.
 *
 *     weighlock engine add onnxruntime
 *     node bench/memory.ts [--mb 268]
 */
import { spawnSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { VerifiedFiles } from "@weighlock/client"
import { loadVerified } from "@weighlock/runtime"
import { dataset, type GroupParts, hdf5 } from "@weighlock/test/support/hdf5-file.ts"
import { zip } from "@weighlock/test/support/zip-file.ts"
import { denseNetwork, denseWeights } from "./dense-network.ts"

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { mb: { type: "string", default: "268" } },
})

const cases = [
  ["tfjs-layers", "js"],
  ["keras-h5", "js"],
  ["keras-v3", "js"],
  ["tfjs-layers", "wasm"],
  ["keras-h5", "wasm"],
  ["onnx", "onnxruntime"],
] as const

function filesOf(format: string, widths: readonly number[]): Record<string, Uint8Array> {
  if (format === "onnx") return { "model.onnx": denseNetwork(widths) }
  const { json, weights } = denseWeights(widths)
  if (format === "tfjs-layers") return { "model.json": Buffer.from(json), "weights.bin": weights }
  const { modelTopology, weightsManifest } = JSON.parse(json) as {
    modelTopology: object
    weightsManifest: { weights: { name: string; shape: number[] }[] }[]
  }
  let at = 0
  const layers = (weightsManifest[0]?.weights ?? []).map(({ name, shape }) => {
    const count = shape.reduce((product, size) => product * size, 1)
    const data = dataset(shape, new Float32Array(weights.buffer as ArrayBuffer, weights.byteOffset + 4 * at, count))
    at += count
    return { layer: name.slice(0, name.indexOf("/")), data }
  })
  if (format === "keras-h5") {
    const members = Object.fromEntries(
      layers.map(({ layer, data }) => [
        layer,
        { attributes: { weight_names: ["kernel:0"] }, members: { "kernel:0": data } },
      ]),
    )
    const model_weights = { attributes: { layer_names: layers.map(({ layer }) => layer) }, members }
    return {
      "model.h5": hdf5({ attributes: { model_config: JSON.stringify(modelTopology) }, members: { model_weights } }),
    }
  }
  const groups = layers.map(({ layer, data }, index): [string, GroupParts] => [
    index === 0 ? "dense" : `dense_${index}`,
    { members: { vars: { attributes: { name: layer }, members: { "0": data } } } },
  ])
  return {
    "model.keras": zip([
      { name: "metadata.json", content: '{"keras_version":"3.15.1"}' },
      { name: "config.json", content: JSON.stringify(modelTopology) },
      { name: "model.weights.h5", content: hdf5({ members: { layers: { members: Object.fromEntries(groups) } } }) },
    ]),
  }
}

/** Written once, so that what made it is no part of what is measured. */
async function measure(format: string, device: string, folder: string): Promise<void> {
  const files = readdirSync(folder).map((name) => {
    const read = readFileSync(join(folder, name))
    const bytes = new Uint8Array(read.buffer, read.byteOffset, read.length)
    return [
      name,
      {
        name,
        size: bytes.length,
        digest: "",
        bytes: bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice(),
      },
    ] as const
  })
  const entrypoint = files.map(([name]) => name).find((name) => name.startsWith("model"))
  const verified = { manifest: { format, entrypoint, digest: "" }, files: new Map(files) } as unknown as VerifiedFiles
  const model = await loadVerified(verified, { device })
  await model.predict(new Float32Array(784))
  // Not getrusage's: it begins with what the parent had.
  const status = readFileSync("/proc/self/status", "utf8")
  process.stdout.write(`${Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1]) / 1024}\n`)
  process.exit(0)
}

function main(): void {
  const peak = (format: string, device: string, widths: readonly number[]): { mib: number; size: number } => {
    const folder = mkdtempSync(join(tmpdir(), "weighlock-memory-"))
    let size = 0
    for (const [name, bytes] of Object.entries(filesOf(format, widths))) {
      writeFileSync(join(folder, name), bytes)
      size += bytes.length / 2 ** 20
    }
    const { stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), format, device, folder], {
      encoding: "utf8",
    })
    rmSync(folder, { recursive: true })
    if (!(Number(stdout) > 0)) throw new Error(stderr)
    return { mib: Number(stdout), size }
  }
  const units = Math.round((-794 + Math.sqrt(794 ** 2 + Number(values.mb) * 1e6)) / 2)
  for (const [format, device] of cases) {
    const idle = peak(format, device, [784, 8, 8, 10])
    const large = peak(format, device, [784, units, units, 10])
    const more = large.mib - idle.mib
    process.stdout.write(
      `${format} on ${device}: ${large.size.toFixed(0)} MiB, peak ${large.mib.toFixed(0)} MiB, idle ${idle.mib.toFixed(0)} MiB, ratio ${(more / large.size).toFixed(2)}\n`,
    )
  }
}

const [format, device, folder] = positionals
if (format && device && folder) await measure(format, device, folder)
else main()
