/**
 * The index of a model whose weights are in several files.
 *
 *     {"metadata":{"total_size":…},"weight_map":{"embed.weight":"model-00001-of-00002.safetensors",…}}
 */
import { readFile } from "node:fs/promises"
import { parseJson } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"

const maxIndex = 2 ** 26

/** The files that it names, as they stand in a manifest; none if it is no such index. */
export async function readIndex({ name, path, size }: FoundFile): Promise<ReadonlySet<string>> {
  if (size > maxIndex) return new Set()
  const map = weightMap(await readFile(path))
  const folder = name.slice(0, name.lastIndexOf("/") + 1)
  return new Set(map === null ? [] : map.map((shard) => folder + shard))
}

function weightMap(bytes: Uint8Array): string[] | null {
  try {
    const index = parseJson(bytes)
    const map = typeof index === "object" && index !== null && !Array.isArray(index) ? index["weight_map"] : undefined
    if (typeof map !== "object" || map === null || Array.isArray(map)) return null
    return Object.values(map).filter((shard) => typeof shard === "string")
  } catch {
    return null
  }
}
