/**
 * While a topology is built, its variables may not take more than the weight files brought.
 *
 *     a Dense layer with "units": 1e9 asks for 784,000,000,000 numbers, the files hold 101,770: MODEL_REFUSED
 *
 * The worker builds one model in its life, so the patch of the library's class meets nobody else.
 */
import { refused } from "../../errors.ts"
import type { WeightSpec } from "../../formats/weights.ts"
import { describe, elementsIn } from "../../tensors.ts"
import type { TensorFlow } from "./backend.ts"

type AddWeight = (this: object, name: string, shape: number[], dtype: string, ...rest: unknown[]) => unknown

export async function withWeightBudget<T>(
  tf: TensorFlow,
  weights: readonly WeightSpec[],
  build: () => Promise<T>,
): Promise<T> {
  const prototype = tf.layers.Layer.prototype as unknown as { addWeight: AddWeight }
  const addWeight = prototype.addWeight
  const spend = budget(weights)
  prototype.addWeight = function (name, shape, dtype, _initializer, _regularizer, trainable) {
    spend(name, shape)
    // Zeros, whatever was asked; no regulariser, no constraint: the signed numbers are taken as they are.
    return addWeight.call(this, name, shape, dtype, tf.initializers.zeros(), undefined, trainable)
  }
  try {
    return await build()
  } finally {
    prototype.addWeight = addWeight
  }
}

function budget(weights: readonly WeightSpec[]): (name: string, shape: readonly number[]) => void {
  let count = weights.length
  let elements = weights.reduce((total, { shape }) => total + elementsIn(shape), 0)
  return (name, shape) => {
    const wanted = elementsIn(shape)
    count -= 1
    elements -= wanted
    const fits = shape.every((size) => Number.isSafeInteger(size) && size >= 0) && count >= 0 && elements >= 0
    if (!fits) throw refused(`weight ${name} of shape ${describe(shape)} is more than the weight files hold`)
  }
}
