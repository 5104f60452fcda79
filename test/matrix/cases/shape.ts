/** Layers that move numbers, and those that only training knows. */
import { type Config, type Draft, type Family, functional, layer, sequential } from "../case.ts"
import type { Random } from "../random.ts"
import { anyShape } from "./activation.ts"

function format(random: Random): string {
  return random.of(["channels_last", "channels_last", "channels_first"])
}

function picture(random: Random, most: number): number[] {
  return random.many(3, () => random.int(1, most))
}

function one(className: string, config: (random: Random, shape: number[]) => Config, ranks: [number, number] = [1, 4]) {
  return (random: Random): Draft => {
    const shape = anyShape(random, ...ranks)
    return sequential({ shape }, layer(className, config(random, shape)))
  }
}

function reshape(random: Random): Draft {
  const factors = random.many(random.int(1, 4), () => random.int(1, 4))
  const shape = [...factors].toSorted(() => (random.once(2) ? 1 : -1))
  const unknown = random.int(-1, factors.length - 1)
  const target = factors.map((size, axis) => (axis === unknown ? -1 : size))
  return sequential({ shape }, layer("Reshape", { target_shape: target }))
}

function permute(random: Random): Draft {
  const shape = anyShape(random, 1, 4)
  const axes = shape.map((_, axis) => axis + 1)
  const order = random.int(0, axes.length - 1)
  const dims = [...axes.slice(order), ...axes.slice(0, order)]
  if (random.once(2)) dims.reverse()
  return sequential({ shape }, layer("Permute", { dims }))
}

function pads(random: Random, most: number): number[][] {
  return [
    [random.int(0, most), random.int(0, most)],
    [random.int(0, most), random.int(0, most)],
  ]
}

function cropping(random: Random): Draft {
  const [[top = 0, bottom = 0] = [], [left = 0, right = 0] = []] = pads(random, 2)
  const dataFormat = format(random)
  const [rows, columns] = [top + bottom + random.int(1, 3), left + right + random.int(1, 3)]
  const shape = dataFormat === "channels_first" ? [2, rows, columns] : [rows, columns, 2]
  const config = {
    cropping: [
      [top, bottom],
      [left, right],
    ],
    data_format: dataFormat,
  }
  return sequential({ shape }, layer("Cropping2D", config))
}

function upsampling(random: Random): Draft {
  const config = {
    size: random.many(2, () => random.int(1, 3)),
    data_format: format(random),
    interpolation: random.of(["nearest", "nearest", "bilinear"]),
  }
  return sequential({ shape: picture(random, 3) }, layer("UpSampling2D", config))
}

function inputAlone(random: Random): Draft {
  const shape = anyShape(random, 1, 3)
  const inputs = [
    { name: "a", shape },
    { name: "b", shape },
  ]
  return functional(inputs, [[layer("Add", {}), ["a", "b"]]], [["x", 0, 0]])
}

export const shapeFamilies: readonly Family[] = [
  { layer: "InputLayer", count: 10, draft: inputAlone },
  { layer: "Flatten", count: 40, draft: one("Flatten", (random) => ({ data_format: format(random) }), [2, 4]) },
  { layer: "Reshape", count: 60, draft: reshape },
  { layer: "Permute", count: 60, draft: permute },
  { layer: "RepeatVector", count: 20, draft: one("RepeatVector", (random) => ({ n: random.int(1, 5) }), [1, 1]) },
  {
    layer: "ZeroPadding2D",
    count: 60,
    draft: (random) =>
      sequential(
        { shape: picture(random, 3) },
        layer("ZeroPadding2D", { padding: pads(random, 2), data_format: format(random) }),
      ),
  },
  { layer: "Cropping2D", count: 60, draft: cropping },
  { layer: "UpSampling2D", count: 80, draft: upsampling },
  { layer: "Dropout", count: 10, draft: one("Dropout", () => ({ rate: 0.5 })) },
  { layer: "SpatialDropout1D", count: 10, draft: one("SpatialDropout1D", () => ({ rate: 0.5 }), [2, 2]) },
  { layer: "AlphaDropout", count: 10, draft: one("AlphaDropout", () => ({ rate: 0.5 })) },
  { layer: "GaussianDropout", count: 10, draft: one("GaussianDropout", () => ({ rate: 0.5 })) },
  { layer: "GaussianNoise", count: 10, draft: one("GaussianNoise", () => ({ stddev: 2 })) },
]
