/**
 * Products that are summed (a dense layer, a convolution), when there are many of them.
 *
 * The backends add one float32 after the other. Of n equal products the sum is then wrong by up to 9e-6 where n is 600, 6e-5
 * where it is 4096, and a percent where it is a million; WebAssembly and plain JavaScript agree on it, so that no comparison
 * of the two shows it. Here a long sum is cut into blocks of at most 600 products, each of which the backend's own kernel
 * computes, and the blocks are added up in double precision.
 *
 *     dense 25088 -> 4096        42 blocks of 600
 *     convolution 3×3×512        9 blocks, one for each place of the kernel
 *     convolution 1×10000×1      17 blocks of 592 places
 */
import type { KernelFunc, TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../engine.ts"
import { type Block, type BlockOf, blocksOf, type Slice } from "./sum-blocks.ts"
import { type KernelCall, release, wrapKernels } from "./wrap.ts"

export interface SumTools {
  /** The numbers of a tensor where they lie. */
  readonly valuesOf: (tensor: TensorInfo, backend: object) => Float32Array
  /** The slice without a copy, good for as long as the tensor lives; `null` where that cannot be. */
  readonly viewOf?: (tensor: TensorInfo, slice: Slice) => TensorInfo | null
  /** Kernels that sum in double precision anyway. */
  readonly exact?: readonly string[]
}

/** Wraps the kernels that sum products. */
export function mendProducts(tf: TensorFlow, backendName: string, tools: SumTools): void {
  const { valuesOf, viewOf = () => null, exact = [] } = tools
  const kernelOf = (name: string): KernelFunc => {
    const found = tf.getKernel(name, backendName)
    if (found === undefined) throw new Error(`the backend ${backendName} has no kernel ${name}`)
    return found.kernelFunc
  }
  const adder = new Adder({ slice: kernelOf("Slice"), pad: kernelOf("PadV2"), valuesOf, viewOf })
  wrapKernels(tf, backendName, (name, kernel) => {
    const plan = blocksOf(tf, name)
    if (plan === null || exact.includes(name)) return kernel
    return (call) => {
      const blocks = isFloat(call) ? plan(call) : null
      return blocks === null || blocks.parts.length < 2 ? kernel(call) : adder.run(kernel, call, blocks)
    }
  })
}

function isFloat({ inputs }: KernelCall): boolean {
  return Object.values(inputs).every((tensor) => tensor === undefined || tensor.dtype === "float32")
}

interface AdderTools extends Required<Omit<SumTools, "exact">> {
  readonly slice: KernelFunc
  readonly pad: KernelFunc
}

class Adder {
  readonly #tools: AdderTools

  constructor(tools: AdderTools) {
    this.#tools = tools
  }

  run(kernel: KernelFunc, call: KernelCall, { padding, parts, attrs }: BlockOf): TensorInfo {
    const asked = { ...call, attrs: { ...call.attrs, ...attrs } }
    if (padding === null) return this.#addUp(kernel, asked, parts)
    const { inputs, backend } = call
    const x = this.#tools.pad({ inputs: { x: inputs["x"] }, backend, attrs: { ...padding } }) as TensorInfo
    try {
      return this.#addUp(kernel, { ...asked, inputs: { ...inputs, x } }, parts)
    } finally {
      release(x, backend)
    }
  }

  /** The memory of the last part's answer becomes that of the whole. */
  #addUp(kernel: KernelFunc, call: KernelCall, parts: readonly Block[]): TensorInfo {
    let sums: Float64Array | null = null
    let last: TensorInfo | null = null
    for (const [at, part] of parts.entries()) {
      if (last !== null) release(last, call.backend)
      last = this.#ask(kernel, at === 0 ? call : withoutBias(call), part)
      const values = this.#tools.valuesOf(last, call.backend)
      sums ??= new Float64Array(values.length)
      for (let index = 0; index < values.length; index++)
        sums[index] = (sums[index] as number) + (values[index] as number)
    }
    if (last === null || sums === null) throw new Error("a sum has no parts")
    this.#tools.valuesOf(last, call.backend).set(sums)
    return last
  }

  #ask(kernel: KernelFunc, call: KernelCall, part: Block): TensorInfo {
    const { backend } = call
    const inputs = { ...call.inputs }
    const copies: TensorInfo[] = []
    try {
      for (const [name, slice] of Object.entries(part)) {
        const whole = inputs[name] as TensorInfo
        const view = isWeight(name) ? this.#tools.viewOf(whole, slice) : null
        const made = view ?? (this.#tools.slice({ inputs: { x: whole }, backend, attrs: { ...slice } }) as TensorInfo)
        if (view === null) copies.push(made)
        inputs[name] = made
      }
      return kernel({ ...call, inputs }) as TensorInfo
    } finally {
      for (const copy of copies) release(copy, backend)
    }
  }
}

/** What is the same from question to question, most of the time. */
function isWeight(input: string): boolean {
  return input === "filter" || input === "b"
}

/** The bias is added once. */
function withoutBias({ inputs, ...call }: KernelCall): KernelCall {
  return { ...call, inputs: Object.fromEntries(Object.entries(inputs).filter(([name]) => name !== "bias")) }
}
