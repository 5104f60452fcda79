/**
 * Is a JSON file what TensorFlow.js writes? Told by its words, not by parsing: one that is malformed, or begins with a byte
 * order mark, was meant to be a model as well, and its publisher wants to hear why it does not load.
 *
 *     {"format":"layers-model", "modelTopology":{"class_name":"Sequential",…}, "weightsManifest":[…]}
 *     model.json that is empty, or was cut off before these words
 */
import { open } from "node:fs/promises"
import type { FoundFile } from "@weighlock/manifest/node"

const maxModelJson = 2 ** 26
const words = ["modelTopology", "weightsManifest", "layers-model", "graph-model"]

export async function tfjsFormat({ name, path, size }: FoundFile): Promise<"tfjs-layers" | "tfjs-graph" | null> {
  if (size > maxModelJson) return null
  const bytes = Buffer.alloc(size)
  const file = await open(path)
  try {
    await file.read(bytes, 0, size, 0)
  } finally {
    await file.close()
  }
  const isModel = isKey(bytes, "weightsManifest") && isKey(bytes, "modelTopology")
  if (!isModel && !(isUsualName(name) && wasMeant(bytes) && isBroken(bytes))) return null
  const kind = /"format"\s*:\s*"(graph|layers)-model"/.exec(bytes.toString("latin1"))?.[1]
  // Without a word of it: a graph lists nodes, a Keras model has classes.
  const isGraph = kind === undefined ? isModel && !isKey(bytes, "class_name") : kind === "graph"
  return isGraph ? "tfjs-graph" : "tfjs-layers"
}

/** Others call theirs model.json as well: cut off anywhere, one for TensorFlow.js has a word of its own, or next to none. */
function wasMeant(bytes: Buffer): boolean {
  return bytes.length < 64 || words.some((word) => isKey(bytes, word))
}

function isUsualName(name: string): boolean {
  return /(?:^|\/)model\.json$/.test(name)
}

function isBroken(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString("utf8").replace(/^\uFEFF/, ""))
    return false
  } catch {
    return true
  }
}

function isKey(bytes: Buffer, key: string): boolean {
  return bytes.includes(`"${key}"`)
}
