/**
 * Products that are summed (a dense layer, a convolution) on WebAssembly, when there are many of them.
 *
 * The backend adds one float32 after the other. Of n equal products the sum is then wrong by up to 9e-6 where n is 600, 6e-5
 * where it is 4096, and a percent where it is a million. Here a long sum is cut into blocks of at most 600 products, each of
 * which the backend's own kernel computes, and the blocks are added up in double precision. (JavaScript's own loops, as in
 * js-sums.ts, take ten times as long.)
 *
 *     dense 25088 -> 4096        42 blocks of 600
 *     convolution 3×3×512        9 blocks, one for each place of the kernel
 *     convolution 1×10000×1      17 blocks of 592 places
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import type { KernelFunc, TensorInfo } from "@tensorflow/tfjs-core"
import type { TensorFlow } from "../backend.ts"
import { copyBox } from "./copy-box.ts"
import { type Block, type BlockOf, blocksOf, type Slice } from "./sum-blocks.ts"
import { type ViewOf, viewsInto } from "./wasm-views.ts"
import { type KernelCall, release, wrapKernels } from "./wrap.ts"

/** Wraps the kernels that sum products. `longest` is how many of them the backend may add up by itself. */
export function mendProducts(tf: TensorFlow, backend: BackendWasm, longest: number): void {
  const { kernelFunc: pad } = tf.getKernel("PadV2", "wasm")
  const adder = new Adder(backend, viewsInto(backend), pad)
  wrapKernels(tf, "wasm", (name, kernel) => {
    const plan = blocksOf(tf, name, longest)
    if (plan === null) return kernel
    return (call) => {
      const blocks = isFloat(call) ? plan(call) : null
      return blocks === null || blocks.parts.length < 2 ? kernel(call) : adder.run(kernel, call, blocks)
    }
  })
}

function isFloat({ inputs }: KernelCall): boolean {
  return Object.values(inputs).every((tensor) => tensor === undefined || tensor.dtype === "float32")
}

class Adder {
  readonly #backend: BackendWasm
  readonly #viewOf: ViewOf
  readonly #pad: KernelFunc

  constructor(backend: BackendWasm, viewOf: ViewOf, pad: KernelFunc) {
    this.#backend = backend
    this.#viewOf = viewOf
    this.#pad = pad
  }

  run(kernel: KernelFunc, call: KernelCall, { padding, parts, attrs }: BlockOf): TensorInfo {
    const asked = { ...call, attrs: { ...call.attrs, ...attrs } }
    if (padding === null) return this.#addUp(kernel, asked, parts)
    const { inputs, backend } = call
    const x = this.#pad({ inputs: { x: inputs["x"] }, backend, attrs: { ...padding } }) as TensorInfo
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
      const values = this.#valuesOf(last)
      sums ??= new Float64Array(values.length)
      for (let index = 0; index < values.length; index++)
        sums[index] = (sums[index] as number) + (values[index] as number)
    }
    if (last === null || sums === null) throw new Error("a sum has no parts")
    this.#valuesOf(last).set(sums)
    return last
  }

  #ask(kernel: KernelFunc, call: KernelCall, part: Block): TensorInfo {
    const inputs = { ...call.inputs }
    const copies: TensorInfo[] = []
    try {
      for (const [name, slice] of Object.entries(part)) {
        const whole = inputs[name] as TensorInfo
        const view = isWeight(name) ? this.#viewOf(whole, slice) : null
        const made = view ?? this.#copyOf(whole, slice)
        if (view === null) copies.push(made)
        inputs[name] = made
      }
      return kernel({ ...call, inputs }) as TensorInfo
    } finally {
      for (const copy of copies) release(copy, this.#backend)
    }
  }

  // The backend's own Slice copies the whole tensor first.
  #copyOf(whole: TensorInfo, { begin, size }: Slice): TensorInfo {
    const copy = this.#backend.makeOutput([...size], "float32")
    copyBox(this.#valuesOf(whole), whole.shape, begin, size, this.#valuesOf(copy))
    return copy
  }

  #valuesOf(tensor: TensorInfo): Float32Array {
    return this.#backend.typedArrayFromHeap(tensor) as Float32Array
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
