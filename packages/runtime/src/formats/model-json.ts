/** `model.json` of TensorFlow.js, from verified bytes: the document, and the files that it may name. */
import { type JsonObject, parseJson } from "@weighlock/manifest/base"
import { messageOf, refused } from "../errors.ts"
import { asObject } from "./json-fields.ts"

export interface ModelJson {
  readonly model: JsonObject
  /** The entrypoint's, "" or ending in a slash. */
  readonly folder: string
  readonly others: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
}

/** Bytes of model.json; large real ones stay under 2 MiB. */
const maxModelJson = 16 * 2 ** 20

/** `format` is what the document has to say of itself, where it says anything. Throws MODEL_REFUSED. */
export function readModelJson(
  entrypoint: string,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  format: string,
): ModelJson {
  const model = parse(entrypoint, files)
  const found = model["format"]
  if (found !== undefined && found !== format) throw refused(`${entrypoint} is a ${JSON.stringify(found)}`)
  const others = new Map(files)
  others.delete(entrypoint)
  return { model, folder: entrypoint.slice(0, entrypoint.lastIndexOf("/") + 1), others }
}

function parse(entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): JsonObject {
  const bytes = files.get(entrypoint)
  if (!bytes) throw refused(`entrypoint ${entrypoint} is not a file of the signed manifest`)
  if (bytes.length > maxModelJson) throw refused(`${entrypoint} has ${bytes.length} bytes, more than ${maxModelJson}`)
  try {
    return asObject(parseJson(withoutMark(bytes), entrypoint), entrypoint)
  } catch (cause) {
    throw refused(messageOf(cause), { cause })
  }
}

// Windows tools begin a file with a byte order mark.
function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}
