/**
 * Slices of a tensor in WebAssembly's memory that are no copies: a run of its numbers under a name of their own.
 *
 * XNNPACK packs the weights of a multiplication when it meets them first, which takes 20 ns a weight, and finds them again by
 * the tensor's number. A slice that is made anew for each question would be packed for each question.
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm"
import type { TensorInfo } from "@tensorflow/tfjs-core"
import type { Slice } from "./sum-blocks.ts"

/** The parts of the backend that its types leave out. */
interface Internals {
  readonly dataIdMap: {
    get(dataId: object): { readonly id: number; readonly memoryOffset: number }
    has(dataId: object): boolean
    delete(dataId: object): boolean
  }
  readonly wasm: { readonly tfjs: { disposeData(id: number): void } }
}

export type ViewOf = (tensor: TensorInfo, slice: Slice) => TensorInfo | null

/** A view is forgotten with its tensor. `viewOf` gives `null` for a slice whose numbers do not lie next to each other. */
export function viewsInto(backend: BackendWasm): ViewOf {
  const { dataIdMap, wasm } = backend as unknown as Internals
  const views = new Map<object, Map<string, TensorInfo>>()
  const disposeData = backend.disposeData.bind(backend)
  backend.disposeData = (dataId, force) => {
    const isGone = disposeData(dataId, force)
    const known = isGone ? views.get(dataId) : undefined
    if (known === undefined || dataIdMap.has(dataId)) return isGone
    views.delete(dataId)
    for (const view of known.values()) {
      wasm.tfjs.disposeData(dataIdMap.get(view.dataId).id) // with what XNNPACK packed; the memory was the tensor's
      dataIdMap.delete(view.dataId)
    }
    return isGone
  }
  return (tensor, { begin, size }) => {
    const offset = runAt(tensor.shape, begin, size)
    if (offset === null) return null
    const known = views.get(tensor.dataId) ?? new Map<string, TensorInfo>()
    views.set(tensor.dataId, known)
    const name = `${offset} ${size.join(" ")}`
    const { memoryOffset } = dataIdMap.get(tensor.dataId)
    const view = known.get(name) ?? backend.makeOutput([...size], tensor.dtype, memoryOffset + 4 * offset)
    known.set(name, view)
    return view
  }
}

/** Where the slice begins, in numbers, if it is one run of memory: cut along one axis, with one index of each before it. */
function runAt(shape: readonly number[], begin: readonly number[], size: readonly number[]): number | null {
  const cut = shape.findLastIndex((length, axis) => size[axis] !== length)
  if (cut > 0 && size.slice(0, cut).some((length) => length !== 1)) return null
  return begin.reduce((offset, from, axis) => offset * (shape[axis] ?? 0) + from, 0)
}
