/**
 * A folder with a package @tensorflow/tfjs-node-gpu in it that computes with the runtime's own TensorFlow.js and calls itself
 * a GPU. Numbers that a question holds make it do what native code does now and then.
 */
import { execFileSync } from "node:child_process"
import { closeSync, constants, mkdirSync, openSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"

export const trouble = {
  /** Never returns from a native call: opens a pipe that nobody writes to. */
  hangs: 1e6,
  /** The thread is gone. */
  exits: 2e6,
  /** Loops in JavaScript. */
  loops: 3e6,
  /** Takes a tenth of a second, in a native call. */
  naps: 4e6,
  /** Fills V8's heap. */
  hoards: 5e6,
} as const

const runtimePackage = createRequire(import.meta.url).resolve("@weighlock/runtime/package.json")

/** Returns the folder for WEIGHLOCK_ENGINES. Each question that is begun adds a line to `<folder>/begun`. */
export function engineFolder(folder: string): string {
  const home = join(folder, "node_modules/@tensorflow/tfjs-node-gpu")
  mkdirSync(home, { recursive: true })
  execFileSync("mkfifo", [join(folder, "pipe")])
  writeFileSync(join(home, "package.json"), JSON.stringify({ name: "@tensorflow/tfjs-node-gpu", main: "index.cjs" }))
  writeFileSync(join(home, "index.cjs"), source(folder))
  return folder
}

/** Lets a thread that hangs go on, and end: otherwise the process never would. */
export async function releaseHung(folder: string): Promise<void> {
  for (;;) {
    try {
      return closeSync(openSync(join(folder, "pipe"), constants.O_WRONLY | constants.O_NONBLOCK))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO") throw error
      await new Promise((resolve) => setTimeout(resolve, 20)) // it has not opened it yet
    }
  }
}

function source(folder: string): string {
  return `
    const fs = require("node:fs")
    const from = require("node:module").createRequire(${JSON.stringify(runtimePackage)})
    const core = from("@tensorflow/tfjs-core")
    const layers = from("@tensorflow/tfjs-layers")
    const { MathBackendCPU } = from("@tensorflow/tfjs-backend-cpu")
    class Gpu extends MathBackendCPU { isUsingGpuDevice = true }
    core.registerBackend("tensorflow", () => new Gpu(), 9)
    core.copyRegisteredKernels("cpu", "tensorflow")
    const name = "_FusedMatMul"
    const { kernelFunc, ...kernel } = core.getKernel(name, "tensorflow")
    core.unregisterKernel(name, "tensorflow")
    const has = (args, value) => args.backend.data.get(args.inputs.a.dataId).values.includes(value)
    core.registerKernel({ ...kernel, kernelName: name, backendName: "tensorflow", kernelFunc(args) {
      fs.appendFileSync(${JSON.stringify(join(folder, "begun"))}, "x\\n")
      if (has(args, ${trouble.hangs})) fs.openSync(${JSON.stringify(join(folder, "pipe"))})
      if (has(args, ${trouble.exits})) process.exit(7)
      if (has(args, ${trouble.naps})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
      while (has(args, ${trouble.loops}));
      for (const hoard = []; has(args, ${trouble.hoards}); ) hoard.push(new Array(1e5).fill(0.5))
      return kernelFunc(args)
    } })
    const tf = { ...core, ...layers }
    module.exports = tf`
}
