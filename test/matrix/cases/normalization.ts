/** Normalisation by stored and by computed moments. */
import { type Draft, type Family, layer, sequential, type WeightDraft } from "../case.ts"
import type { Random } from "../random.ts"
import { anyShape } from "./activation.ts"

function batchNormalization(random: Random): Draft {
  const shape = anyShape(random, 1, 4)
  const axis = random.once(3) ? random.int(1, shape.length) : -1
  const [center, scale] = [!random.once(4), !random.once(4)]
  const width = [axis === -1 ? (shape.at(-1) ?? 1) : (shape[axis - 1] ?? 1)]
  const weights: WeightDraft[] = [
    ...(scale ? [{ name: "x/gamma", shape: width }] : []),
    ...(center ? [{ name: "x/beta", shape: width }] : []),
    { name: "x/moving_mean", shape: width },
    { name: "x/moving_variance", shape: width, values: "positive" },
  ]
  const config = {
    axis: random.once(2) ? axis : [axis === -1 ? shape.length : axis],
    momentum: 0.99,
    epsilon: random.of([0.001, 1e-5, 0.1]),
    center,
    scale,
  }
  return sequential({ shape }, layer("BatchNormalization", config, weights))
}

function layerNormalization(random: Random): Draft {
  const shape = anyShape(random, 1, 3)
  const kept = shape.map((_, index) => index + 1).filter(() => random.once(2))
  const axis = random.once(3) && kept.length > 0 ? kept : [shape.length]
  const [center, scale] = [!random.once(4), !random.once(4)]
  const width = axis.map((one) => shape[one - 1] ?? 1)
  const weights: WeightDraft[] = [
    ...(scale ? [{ name: "x/gamma", shape: width }] : []),
    ...(center ? [{ name: "x/beta", shape: width }] : []),
  ]
  const plain = axis.length === 1 && axis[0] === shape.length && random.once(2)
  const config = { axis: plain ? -1 : axis, epsilon: random.of([0.001, 1e-2]), center, scale }
  return sequential({ shape }, layer("LayerNormalization", config, weights))
}

export const normalizationFamilies: readonly Family[] = [
  { layer: "BatchNormalization", count: 160, draft: batchNormalization },
  { layer: "LayerNormalization", count: 100, draft: layerNormalization },
]
