/**
 * What right sums cost on WebAssembly: layers with long sums, with the backend's own kernels and with ours, in turn.
 *
 *     node bench/long-sums.ts          conv 3×3×128, 28×28        8.6 ms    9.9 ms    1.15
 */
import { createRequire } from "node:module"
import type { Backend, TensorFlow } from "@weighlock/runtime/src/engines/tfjs/backend.ts"
import { longestSum } from "@weighlock/runtime/src/engines/tfjs/kernels/sum-blocks.ts"
import { openWasm } from "@weighlock/runtime/src/engines/tfjs/wasm.ts"

type Kernels = ReturnType<TensorFlow["getKernelsForBackend"]>
type Layer = () => { dispose(): void }

const require = createRequire(createRequire(import.meta.url).resolve("@weighlock/runtime/package.json"))
const core = require("@tensorflow/tfjs-core") as TensorFlow

async function opened(longest: number): Promise<Kernels> {
  const engine = await openWasm(longest)
  if (!engine.available) throw new Error(engine.why)
  return (engine satisfies Backend).tf.getKernelsForBackend("wasm")
}

function use(kernels: Kernels): void {
  for (const config of kernels) {
    core.unregisterKernel(config.kernelName, "wasm")
    core.registerKernel(config)
  }
}

function numbers(shape: [number, number, number, number]): ReturnType<TensorFlow["tensor4d"]> {
  return core.tensor4d(core.randomUniform(shape).dataSync(), shape)
}

function convolution(size: number, channels: number, kernel: number, filters: number): Layer {
  const x = numbers([1, size, size, channels])
  const filter = numbers([kernel, kernel, channels, filters])
  return () => core.conv2d(x, filter, 1, "same")
}

function dense(inner: number, units: number, rows = 1): Layer {
  const [x, kernel] = [core.randomUniform([rows, inner]), core.randomUniform([inner, units])]
  return () => core.matMul(x, kernel)
}

function median(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? NaN
}

function measure(layer: Layer, sides: readonly Kernels[]): number[] {
  const times = sides.map((): number[] => [])
  for (let round = 0; round < 30; round++) {
    for (const [at, side] of sides.entries()) {
      use(side)
      const start = performance.now()
      for (let each = 0; each < 3; each++) layer().dispose()
      if (round >= 5) times[at]?.push((performance.now() - start) / 3)
    }
  }
  return times.map(median)
}

const raw = core.getKernelsForBackend("wasm")
const theirs = await opened(Infinity)
use(raw)
const ours = await opened(longestSum)

const layers: Readonly<Record<string, () => Layer>> = {
  "conv 3×3×64, 56×56": () => convolution(56, 64, 3, 64),
  "conv 3×3×128, 28×28": () => convolution(28, 128, 3, 128),
  "conv 3×3×256, 14×14": () => convolution(14, 256, 3, 256),
  "conv 3×3×512, 7×7": () => convolution(7, 512, 3, 512),
  "conv 1×1×2048, 7×7": () => convolution(7, 2048, 1, 512),
  "dense 784 -> 128": () => dense(784, 128),
  "dense 1280 -> 1000": () => dense(1280, 1000),
  "dense 25088 -> 4096": () => dense(25088, 4096),
  "dense 4096 -> 4096, 16 rows": () => dense(4096, 4096, 16),
}

for (const [name, make] of Object.entries(layers)) {
  const [before = NaN, after = NaN] = measure(make(), [theirs, ours])
  const [one, two] = [before, after].map((time) => `${time.toFixed(2)} ms`.padStart(9))
  process.stdout.write(`${name.padEnd(28)} ${one} ${two} ${(after / before).toFixed(2).padStart(6)}\n`)
}
