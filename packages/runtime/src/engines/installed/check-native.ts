/**
 * Whether an installed engine's native files are the ones that were locked, else those that its publisher made: before any
 * of them is loaded.
 */
import { isMainThread } from "node:worker_threads"
import { messageOf } from "../../errors.ts"
import { type LockedEngine, readLock } from "./engine-lock.ts"
import type { KnownFiles } from "./known-files.ts"
import { hashNativeFiles, type NativeFile } from "./native-files.ts"
import { type EnginePackage, enginesFolder, type Installed } from "./packages.ts"

export interface NativeCheck {
  /** Whether the lock has them; without a lock the table of this version may. */
  readonly locked: boolean
  /** Why nothing of it may be loaded; `null` when all are known. */
  readonly why: string | null
}

/** In this thread: a load asks once for each engine of a package, and what was loaded first stays loaded. */
const checked = new Map<string, NativeCheck>()

/** Never throws. */
export function checkNative(engine: EnginePackage, installed: Installed): NativeCheck {
  const known = isMainThread ? undefined : checked.get(installed.folder)
  if (known !== undefined) return known
  const found = check(engine, installed)
  checked.set(installed.folder, found)
  return found
}

function check(engine: EnginePackage, installed: Installed): NativeCheck {
  try {
    const folder = enginesFolder()
    const lock = folder === null ? [] : readLock(folder)
    return compare(engine, installed, hashNativeFiles(installed.folder, engine.nativeFolder), lock)
  } catch (error) {
    return { locked: false, why: messageOf(error) }
  }
}

function compare(
  { known }: EnginePackage,
  { folder, version }: Installed,
  files: readonly NativeFile[],
  lock: readonly LockedEngine[],
): NativeCheck {
  const mixed = mixedPair(known, version, files)
  if (mixed !== null) return { locked: false, why: mixed }
  const entry = lock.find(({ path }) => path === folder)
  if (entry !== undefined) {
    const changed = firstDifference(entry.files, files)
    const why = changed && `${changed} since it was locked: look who did it, then \`weighlock engine lock\``
    return { locked: why === null, why: entry.version === version ? why : `it was locked as ${entry.version}` }
  }
  const table = version === null ? undefined : known[version]
  const stranger = files.find(({ path, sha256 }) => table?.[path] !== sha256)
  if (stranger === undefined) return { locked: false, why: null }
  const why = table ? `${stranger.path} is not the file of ${version}` : `${stranger.path} is in no lock`
  return { locked: false, why: `${why}: \`weighlock engine lock\` takes it, if you trust it` }
}

/** A provider of one version in a core of another loads without complaint. */
export function mixedPair(known: KnownFiles, version: string | null, files: readonly NativeFile[]): string | null {
  for (const { path, sha256 } of files) {
    const versions = Object.entries(known).flatMap(([of, table]) => (Object.values(table).includes(sha256) ? [of] : []))
    if (versions.length > 0 && version !== null && !versions.includes(version))
      return `${path} is of version ${versions.join(" or ")}, and the package of ${version}: they do not belong together`
  }
  return null
}

/** What is other than it was; `null` where nothing is. */
export function firstDifference(locked: readonly NativeFile[], found: readonly NativeFile[]): string | null {
  const now = new Map(found.map(({ path, sha256 }) => [path, sha256]))
  for (const { path, sha256 } of locked) {
    if (!now.has(path)) return `${path} is gone`
    if (now.get(path) !== sha256) return `${path} has changed`
    now.delete(path)
  }
  const [added] = now.keys()
  return added === undefined ? null : `${added} was added`
}
