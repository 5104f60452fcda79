/**
 * The cases that stand for all: every setting that a class was given occurs in one of them.
 *
 *     Conv2D/17    Conv2D padding=same, Conv2D data_format=channels_first, Conv2D narrow, …
 */
import type { Json, MatrixCase } from "./case.ts"

/** Settings with more values than this (sizes, kernels) are left to the full matrix. */
const mostValues = 6

/** `count` cases in their order: those that bring a setting which none before had, then others, evenly spread. */
export function representative(cases: readonly MatrixCase[], count: number): MatrixCase[] {
  const features = cases.map(featuresOf)
  const few = fewValued(features.flat())
  const seen = new Set<string>()
  const chosen = new Set<number>()
  features.forEach((own, index) => {
    const fresh = own.filter((feature) => few.has(feature) && !seen.has(feature))
    if (fresh.length > 0) chosen.add(index)
    for (const feature of fresh) seen.add(feature)
  })
  if (chosen.size > count) throw new Error(`${chosen.size} cases are needed for every setting, more than ${count}`)
  const rest = cases.flatMap((_, index) => (chosen.has(index) ? [] : [index]))
  const more = count - chosen.size
  for (let each = 0; each < more; each++) chosen.add(rest[Math.floor((each * rest.length) / more)] ?? 0)
  return cases.filter((_, index) => chosen.has(index))
}

function fewValued(all: readonly string[]): ReadonlySet<string> {
  const values = new Map<string, Set<string>>()
  for (const feature of all) {
    const key = feature.slice(0, feature.indexOf("="))
    values.set(key, (values.get(key) ?? new Set()).add(feature))
  }
  return new Set([...values.values()].filter(({ size }) => size <= mostValues).flatMap((each) => [...each]))
}

/** Cases of cases/long-sums.ts: few, and asked as a whole. */
export function longSums(cases: readonly MatrixCase[]): MatrixCase[] {
  return cases.filter(({ layer }) => isLong(layer))
}

function isLong(layer: string): boolean {
  return layer.endsWith(" long")
}

function featuresOf({ layer, topology }: MatrixCase): string[] {
  if (isLong(layer)) return [] // their settings are those of short ones
  return [`${layer} case=yes`, ...settingsIn(topology).map((setting) => `${layer} ${setting}`)]
}

function settingsIn(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap(settingsIn)
  if (typeof value !== "object" || value === null) return []
  const object = value as Record<string, Json>
  const own = Object.entries(object).flatMap(([key, one]) => {
    if (key === "class_name") return [`${JSON.stringify(one)}=yes`] // however many there are
    return key !== "name" && isPlain(one) ? [`${key}=${JSON.stringify(one)}`] : []
  })
  return [...own, ...(isNarrow(object) ? ["narrow=yes"] : []), ...Object.values(object).flatMap(settingsIn)]
}

function isPlain(value: Json): boolean {
  return typeof value !== "object" || value === null || (Array.isArray(value) && value.every(isPlain))
}

/** Padding that keeps the size and a window smaller than the stride: the corner where engines went wrong. */
function isNarrow({ padding, strides, kernel_size: kernel, pool_size: pool }: Record<string, Json>): boolean {
  const window = kernel ?? pool
  if (padding !== "same" || !Array.isArray(strides) || !Array.isArray(window)) return false
  return strides.some((stride, axis) => Number(window[axis]) < Number(stride))
}
