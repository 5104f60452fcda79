/**
 * The engine lock: SHA-256 of every native file of the engines that may be loaded, `engine-lock.json` in the engines' folder.
 *
 *     {"schemaVersion":1,"engines":[{"name":"onnxruntime","version":"1.30.0","path":"onnxruntime/node_modules/onnxruntime-node",
 *       "files":[{"path":"bin/napi-v6/linux/x64/libonnxruntime.so.1","sha256":"…","size":45828512}, …]}]}
 *
 * A path within the folder is relative, any other absolute.
 */
import { readFileSync, realpathSync } from "node:fs"
import { isAbsolute, join, relative, resolve, sep } from "node:path"
import type { JsonValue } from "@weighlock/manifest"
import { parseJson } from "@weighlock/manifest/base"
import { replaceFile } from "@weighlock/node"
import { messageOf, RuntimeError } from "../../errors.ts"
import { asArray, asObject } from "../../formats/json-fields.ts"
import type { NativeFile } from "./native-files.ts"

export interface LockedEngine {
  readonly name: string
  readonly version: string
  /** Absolute. */
  readonly path: string
  readonly files: readonly NativeFile[]
}

const fileName = "engine-lock.json"
const maxFiles = 10_000

/** Empty when there is none. Throws DEVICE_UNAVAILABLE for one that can't be read. */
export function readLock(folder: string): LockedEngine[] {
  let bytes: Uint8Array
  try {
    bytes = readFileSync(join(folder, fileName))
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return []
    throw damaged(folder, messageOf(cause), cause)
  }
  try {
    const { schemaVersion, engines } = asObject(parseJson(bytes, fileName), fileName)
    if (schemaVersion !== 1) throw new TypeError(`schemaVersion ${JSON.stringify(schemaVersion)} is not known`)
    return asArray(engines, "engines", 1_000).map((one) => openEngine(folder, one))
  } catch (cause) {
    throw damaged(folder, messageOf(cause), cause)
  }
}

/** Throws what the file system does. */
export async function writeLock(folder: string, engines: readonly LockedEngine[]): Promise<void> {
  const document = {
    schemaVersion: 1,
    engines: engines.map(({ path, ...rest }) => ({ ...rest, path: pathFrom(folder, path) })),
  }
  await replaceFile(join(folder, fileName), `${JSON.stringify(document, null, 2)}\n`, { mode: 0o644 })
}

function openEngine(folder: string, value: JsonValue): LockedEngine {
  const { name, version, path, files } = asObject(value, "an engine")
  return {
    name: asText(name, "name"),
    version: asText(version, "version"),
    path: resolve(real(folder), asText(path, "path")),
    files: asArray(files, "files", maxFiles).map((file) => {
      const fields = asObject(file, "a file")
      const [sha256, size] = [asText(fields["sha256"], "sha256"), fields["size"]]
      if (!/^[0-9a-f]{64}$/.test(sha256) || typeof size !== "number") throw new TypeError("a file without a digest")
      return { path: asText(fields["path"], "path"), sha256, size }
    }),
  }
}

function asText(value: JsonValue | undefined, what: string): string {
  if (typeof value === "string" && value !== "") return value
  throw new TypeError(`an engine without its ${what}`)
}

function pathFrom(folder: string, path: string): string {
  const within = relative(real(folder), path)
  return within.startsWith("..") || isAbsolute(within) ? path : within.split(sep).join("/")
}

function real(folder: string): string {
  try {
    return realpathSync(folder)
  } catch {
    return folder
  }
}

function damaged(folder: string, why: string, cause: unknown): RuntimeError {
  return new RuntimeError("DEVICE_UNAVAILABLE", `${join(folder, fileName)} can't be read: ${why}`, {
    cause,
    hint: "remove it and write it anew with `weighlock engine lock`, once you know why",
  })
}
