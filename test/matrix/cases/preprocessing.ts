/** What prepares pictures and categories. */
import { type Draft, type Family, layer, sequential } from "../case.ts"
import type { Random } from "../random.ts"
import { anyShape } from "./activation.ts"

function picture(random: Random, most: number): number[] {
  return [random.int(1, most), random.int(1, most), random.int(1, 2)]
}

function rescaling(random: Random): Draft {
  const config = { scale: random.of([1 / 255, 0.5, 2]), offset: random.of([0, -1, 0.25]) }
  return sequential({ shape: anyShape(random, 1, 3) }, layer("Rescaling", config))
}

function resizing(random: Random): Draft {
  const config = {
    height: random.int(1, 6),
    width: random.int(1, 6),
    interpolation: random.of(["bilinear", "nearest"]),
    crop_to_aspect_ratio: random.once(4),
  }
  return sequential({ shape: picture(random, 6) }, layer("Resizing", config))
}

function centerCrop(random: Random): Draft {
  const config = { height: random.int(1, 6), width: random.int(1, 6) }
  return sequential({ shape: picture(random, 7) }, layer("CenterCrop", config))
}

function categories(random: Random): Draft {
  const tokens = random.int(2, 6)
  const mode = random.of(["multi_hot", "one_hot", "count"])
  const shape = mode === "one_hot" ? [1] : [random.int(1, 4)]
  const input = { shape, values: { below: tokens }, dtype: random.of(["float32", "int32"] as const) }
  return sequential(input, layer("CategoryEncoding", { num_tokens: tokens, output_mode: mode, sparse: false }))
}

function randomWidth(random: Random): Draft {
  const config = { factor: 0.5, interpolation: random.of(["bilinear", "nearest"]), seed: 1 }
  return sequential({ shape: [3, 4, 1] }, layer("RandomWidth", config))
}

export const preprocessingFamilies: readonly Family[] = [
  { layer: "Rescaling", count: 30, draft: rescaling },
  { layer: "Resizing", count: 80, draft: resizing },
  { layer: "CenterCrop", count: 60, draft: centerCrop },
  { layer: "CategoryEncoding", count: 50, draft: categories },
  { layer: "RandomWidth", count: 6, draft: randomWidth },
]
