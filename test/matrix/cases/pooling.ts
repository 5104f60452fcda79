/** Pooling over windows and over everything. */
import { type Draft, type Family, layer, maxAnswer, sequential } from "../case.ts"
import type { Random } from "../random.ts"

function windowed(className: string, rank: number): (random: Random) => Draft | null {
  return (random) => {
    const first = random.once(rank === 1 ? 12 : 4)
    const largest = [13, 8, 5][rank - 1] ?? 5
    const pool = random.many(rank, () => random.int(1, 4))
    const strides = random.once(3) ? null : random.many(rank, () => random.int(1, 4))
    const padding = random.of(["valid", "same"])
    const sizes = random.many(rank, () => random.int(1, largest))
    const channels = random.int(1, 3)
    const cells = sizes.reduce((product, size, axis) => {
      const window = padding === "valid" ? (pool[axis] ?? 1) : 1
      return product * Math.max(0, Math.ceil((size - window + 1) / ((strides ?? pool)[axis] ?? 1)))
    }, 1)
    if (cells === 0 || cells * channels > maxAnswer / 2) return null
    const config = {
      pool_size: pool,
      strides,
      padding,
      data_format: first ? "channels_first" : "channels_last",
    }
    return sequential({ shape: first ? [channels, ...sizes] : [...sizes, channels] }, layer(className, config))
  }
}

function whole(className: string, rank: number): (random: Random) => Draft {
  return (random) => {
    const shape = random.many(rank + 1, () => random.int(1, 6))
    const config = {
      data_format: random.of(["channels_last", "channels_last", "channels_first"]),
      keepdims: random.once(8),
    }
    return sequential({ shape }, layer(className, config))
  }
}

export const poolingFamilies: readonly Family[] = [
  { layer: "AveragePooling1D", count: 120, draft: windowed("AveragePooling1D", 1) },
  { layer: "AveragePooling2D", count: 200, draft: windowed("AveragePooling2D", 2) },
  { layer: "AveragePooling3D", count: 120, draft: windowed("AveragePooling3D", 3) },
  { layer: "MaxPooling1D", count: 120, draft: windowed("MaxPooling1D", 1) },
  { layer: "MaxPooling2D", count: 200, draft: windowed("MaxPooling2D", 2) },
  { layer: "MaxPooling3D", count: 120, draft: windowed("MaxPooling3D", 3) },
  { layer: "GlobalAveragePooling1D", count: 40, draft: whole("GlobalAveragePooling1D", 1) },
  { layer: "GlobalAveragePooling2D", count: 40, draft: whole("GlobalAveragePooling2D", 2) },
  { layer: "GlobalMaxPooling1D", count: 40, draft: whole("GlobalMaxPooling1D", 1) },
  { layer: "GlobalMaxPooling2D", count: 40, draft: whole("GlobalMaxPooling2D", 2) },
]
