/**
 * The npm packages that hold engines' native code: what is known of each, and where one is.
 *
 *     onnxruntime-node    engines onnxruntime, onnxruntime-webgpu, onnxruntime-cuda
 *     looked for          from the working directory, in $WEIGHLOCK_ENGINES and its folders, then beside us
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join, resolve, sep } from "node:path"
import { homeFolder } from "@weighlock/node"
import { type KnownFiles, knownOnnxruntime } from "./known-files.ts"
import { type PinnedTree, pinnedOnnxruntime } from "./pinned-packages.ts"

export interface EnginePackage {
  /** What `weighlock engine add` takes. */
  readonly name: string
  /** Of npm. */
  readonly package: string
  /** Other words for it that are understood. */
  readonly aliases: readonly string[]
  /** The folder within the package whose native files are loaded on this machine. */
  readonly nativeFolder: string
  readonly known: KnownFiles
  /** `null` for one that `engine add` does not install. */
  readonly pinned: PinnedTree | null
}

export const onnxruntimePackage: EnginePackage = {
  name: "onnxruntime",
  package: "onnxruntime-node",
  aliases: ["onnxruntime-node", "onnx", "onnxruntime-cuda", "onnxruntime-webgpu"],
  nativeFolder: `bin/napi-v6/${process.platform}/${process.arch}`,
  known: knownOnnxruntime,
  pinned: pinnedOnnxruntime,
}

export const tfjsNodeGpuPackage: EnginePackage = {
  name: "tfjs-node-gpu",
  package: "@tensorflow/tfjs-node-gpu",
  aliases: ["@tensorflow/tfjs-node-gpu"],
  nativeFolder: "",
  known: {},
  pinned: null,
}

export const enginePackages: readonly EnginePackage[] = [onnxruntimePackage, tfjsNodeGpuPackage]

/** `undefined` for a word that means none. */
export function packageNamed(name: string): EnginePackage | undefined {
  return enginePackages.find((one) => one.name === name || one.aliases.includes(name))
}

export interface Installed {
  /** The package's folder, without links. */
  readonly folder: string
  /** The module that is loaded. */
  readonly main: string
  readonly version: string | null
}

/** Where engines are installed, and locked: `$WEIGHLOCK_ENGINES`, else `engines` below `$WEIGHLOCK_HOME`. */
export function enginesFolder(env: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const { WEIGHLOCK_ENGINES, WEIGHLOCK_HOME, XDG_DATA_HOME } = env
  if (WEIGHLOCK_ENGINES) return resolve(WEIGHLOCK_ENGINES)
  if (WEIGHLOCK_HOME) return resolve(WEIGHLOCK_HOME, "engines")
  if (XDG_DATA_HOME) return resolve(XDG_DATA_HOME, "weighlock", "engines")
  const home = homeFolder(env)
  return home === null ? null : resolve(home, ".local", "share", "weighlock", "engines")
}

/** `null` when it is not installed. */
export function findPackage({ package: name }: Pick<EnginePackage, "package">): Installed | null {
  const own = enginesFolder()
  for (const folder of [process.cwd(), ...(own === null ? [] : [own, ...foldersIn(own)]), import.meta.dirname]) {
    const found = resolveFrom(folder, name)
    if (found !== null) return found
  }
  return null
}

function resolveFrom(folder: string, name: string): Installed | null {
  try {
    const main = createRequire(join(folder, "package.json")).resolve(name)
    const home = packageFolder(main, name)
    return home === null ? null : { folder: realpathSync(home), main, version: versionIn(home) }
  } catch {
    return null // not installed there: look in the next
  }
}

/** The folder of the package that a module belongs to. */
function packageFolder(main: string, name: string): string | null {
  const end = `${sep}node_modules${sep}${name.split("/").join(sep)}`
  for (let folder = dirname(main); folder !== dirname(folder); folder = dirname(folder))
    if (folder.endsWith(end) || existsSync(join(folder, "package.json"))) return folder
  return null
}

function versionIn(folder: string): string | null {
  try {
    const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version?: unknown }
    return typeof version === "string" ? version : null
  } catch {
    return null
  }
}

function foldersIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() && !entry.name.startsWith(".") ? [join(folder, entry.name)] : [],
    )
  } catch {
    return []
  }
}
