/**
 * Would the loader take what is about to be signed? A version is bound for ever, so it is asked before.
 *
 * Only formats that this version loads are opened, with the files that the entrypoint names. The layers are built; no
 * question is asked, but the golden one where there is one.
 */
import { CodedError } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"
import type { UnverifiedModel } from "@weighlock/runtime"
import { goldenNames } from "./golden-names.ts"
import { lfsWarning } from "./lfs.ts"
import type { Taken } from "./listing.ts"
import { readWhole } from "./read-whole.ts"
import { readIndex } from "./shards.ts"

/** Returns whether it is a format that is loaded at all. Throws MODEL_REFUSED with the loader's reason, or FILE_UNREADABLE. */
export async function checkLoads(taken: Taken, signal: AbortSignal): Promise<boolean> {
  const { format, entrypoint, files } = taken
  for (const file of files) if (isIndex(file.name)) await requireShards(file, files)
  const start = files.find(({ name }) => name === entrypoint)
  if (format === "other" || start === undefined) return false
  const { checkLoadable, isLoadable } = await import("@weighlock/runtime")
  if (!isLoadable(format)) return false
  try {
    await checkLoadable(await readModel(taken), { signal })
    return true
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== "MODEL_REFUSED") throw error
    const pointer = taken.warnings.find(({ why }) => why === lfsWarning)
    throw await refused(error.message, error, pointer && `${pointer.path} is ${pointer.why}`)
  }
}

/** The files that the loader would ask for, in memory. Throws FILE_UNREADABLE. */
export async function readModel({ format, entrypoint, files }: Taken): Promise<UnverifiedModel> {
  const start = files.find(({ name }) => name === entrypoint)
  // A model.json names its files; a model of one file has no others.
  const isText = start?.name.toLowerCase().endsWith(".json") === true
  const text = isText ? (await readWhole(start)).toString("utf8") : ""
  const read = new Map<string, Uint8Array>()
  for (const file of files) if (isNamed(file.name, entrypoint, text)) read.set(file.name, await readWhole(file))
  return { format, entrypoint, files: read }
}

// By its last segment: the loader decides which path was meant.
function isNamed(name: string, entrypoint: string | undefined, text: string): boolean {
  return name === entrypoint || goldenNames.has(name) || text.includes(name.slice(name.lastIndexOf("/") + 1))
}

/** Of the shards of one model: `model.safetensors.index.json`, `pytorch_model.bin.index.json`. */
function isIndex(name: string): boolean {
  return /\.(?:safetensors|bin)\.index\.json$/.test(name)
}

async function requireShards(start: FoundFile, files: readonly FoundFile[]): Promise<void> {
  const names = new Set(files.map(({ name }) => name))
  const shards = await readIndex(start)
  if (shards.size === 0) throw await refused(`${start.name} names no files in a weight_map`)
  for (const shard of shards)
    if (!names.has(shard)) throw await refused(`${start.name} names ${shard}, which is not one of the files`)
}

/** `why`: what is more likely than what the loader says. */
async function refused(message: string, cause?: CodedError, why?: string): Promise<Error> {
  const { RuntimeError } = await import("@weighlock/runtime")
  const anyway = "--no-load-check publishes it as it is"
  const first = why ?? cause?.hint
  const hint = first === undefined ? anyway : `${first}; ${anyway}`
  return new RuntimeError("MODEL_REFUSED", message, { hint, cause })
}
