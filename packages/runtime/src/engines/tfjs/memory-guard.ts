/**
 * Refuses an operation whose result would not fit, before it runs.
 *
 *     limit 2 GiB; 1.3 GB of tensors are alive, Conv2D would make 1.5 GB more: INPUT_INVALID
 *
 * What a layer says of its output's shape is not always so (Resizing leaves the batch out), a nested model's layers say
 * nothing, and what is alive at a time depends on the graph. The library runs every operation through one function, with the
 * real shapes: there it is asked.
 */
import { RuntimeError } from "../../errors.ts"
import type { TensorFlow } from "./backend.ts"
import { type KernelAttributes, type KernelInputs, kernelOutput, kernelScratch } from "./kernel-sizes.ts"

/** Bytes of tensors that one question may have alive at a time, weights not counted. */
export const maxLiveBytes: number = 2 * 2 ** 30

interface LibraryEngine {
  readonly state: { readonly numBytes: number }
  runKernel: (name: string, inputs: KernelInputs, attributes: KernelAttributes | undefined) => unknown
}

type Require = (name: string, inputs: KernelInputs, attributes: KernelAttributes) => void

/** What is asked before an operation, by the library's engine: one door for all guards of one library. */
const doors = new WeakMap<LibraryEngine, { require: Require | null }>()

function doorOf(engine: LibraryEngine): { require: Require | null } {
  const known = doors.get(engine)
  if (known) return known
  const door: { require: Require | null } = { require: null }
  const runKernel = engine.runKernel.bind(engine)
  engine.runKernel = (name, inputs, attributes) => {
    door.require?.(name, inputs, attributes ?? {})
    return runKernel(name, inputs, attributes)
  }
  doors.set(engine, door)
  return door
}

export class MemoryGuard {
  readonly #engine: LibraryEngine
  readonly #backend: string
  readonly #limit: number
  #allowed = 0

  constructor(tf: TensorFlow, backend: string, limit: number = maxLiveBytes) {
    this.#engine = tf.engine() as unknown as LibraryEngine
    this.#backend = backend
    this.#limit = limit
  }

  /** Everything that is computed in `compute` throws INPUT_INVALID where it would need more. */
  within<T>(compute: () => T): T {
    const door = doorOf(this.#engine)
    this.#allowed = this.#engine.state.numBytes + this.#limit
    door.require = (name, inputs, attributes) => this.#require(name, inputs, attributes)
    try {
      return compute()
    } finally {
      door.require = null
    }
  }

  #require(name: string, inputs: KernelInputs, attributes: KernelAttributes): void {
    const scratch = this.#backend === "wasm" ? kernelScratch(name, inputs, attributes) : 0
    const wanted = 4 * (kernelOutput(name, inputs, attributes) + scratch)
    if (!(this.#engine.state.numBytes + wanted > this.#allowed)) return
    throw new RuntimeError(
      "INPUT_INVALID",
      `${name} would need ${wanted} more bytes; one question may have ${this.#limit}`,
      {
        hint: "ask with smaller tensors",
      },
    )
  }
}
