/** What a model of declared inputs is asked first: numbers of both signs, small ids, words; the same every time. */
import { type DType, type TensorValues, valuesOf } from "../dtypes.ts"
import { elementsIn, maxElements, type TensorData, type TensorSpec } from "../tensors.ts"

/** For sizes that the model leaves open: one of them may suit it. */
const openSizes = [8, 32, 224] as const

/** One question for a model of fixed sizes, else one for each open size. */
export function* rehearsalQuestions(inputs: readonly TensorSpec[], rows: number): Generator<TensorData[]> {
  const sizes = inputs.some(({ shape }) => shape.includes(null)) ? openSizes : [1]
  for (const open of sizes) {
    const shapes = inputs.map(({ shape }) => [rows, ...shape.map((size) => size ?? open)])
    if (shapes.some((shape) => elementsIn(shape) > maxElements)) return
    yield inputs.map(({ dtype }, index) => tensorOf(dtype, shapes[index] ?? []))
  }
}

function tensorOf(dtype: DType, shape: readonly number[]): TensorData {
  const data = valuesOf(dtype, elementsIn(shape))
  fill(data, dtype)
  return { shape, data }
}

function fill(data: TensorValues, dtype: DType): void {
  const next = randomNumbers()
  if (Array.isArray(data)) data.fill("a")
  else if (data instanceof BigInt64Array || data instanceof BigUint64Array)
    for (let at = 0; at < data.length; at++) data[at] = BigInt(Math.floor(next() * 2))
  else {
    const isFraction = data instanceof Float32Array || data instanceof Float64Array
    const most = dtype === "bool" ? 2 : 10
    for (let at = 0; at < data.length; at++)
      data[at] = isFraction ? Math.round((next() * 4 - 2) * 256) / 256 : Math.floor(next() * most)
  }
}

/** From 0 up to 1 (Numerical Recipes' generator). */
function randomNumbers(): () => number {
  let state = 7
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
