/** What `weighlock engine` does: add, list, lock, verify and remove. */
import { realpathSync } from "node:fs"
import { rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { makeFolder, syncFolder } from "@weighlock/node"
import { messageOf, RuntimeError } from "../../errors.ts"
import { engines } from "../choose.ts"
import type { Probe } from "../engine.ts"
import { WorkerLink } from "../worker-link.ts"
import { firstDifference, mixedPair } from "./check-native.ts"
import { type LockedEngine, readLock, writeLock } from "./engine-lock.ts"
import { installEngine, type InstallOptions } from "./install.ts"
import { hashNativeFiles, type NativeFile } from "./native-files.ts"
import {
  type EnginePackage,
  enginePackages,
  enginesFolder,
  findPackage,
  type Installed,
  packageNamed,
} from "./packages.ts"
import { versionsNamed } from "./version-strings.ts"

/** One row of `weighlock engine list`. */
export interface EngineState {
  readonly name: string
  readonly version: string | null
  readonly device: "gpu" | "cpu"
  readonly formats: readonly string[]
  readonly path: string | null
  /** `null` for an engine without native files of its own. */
  readonly locked: boolean | null
  readonly software: boolean
  readonly usable: boolean
  /** `null` when it is usable. */
  readonly why: string | null
}

export interface VerifiedEngine {
  readonly name: string
  readonly version: string
  readonly path: string
  readonly files: number
  /** What is not as it was locked; `null` when all is. */
  readonly why: string | null
}

/** Every engine of this version, probed, each in a thread of its own. */
export async function listEngines(): Promise<EngineState[]> {
  return await Promise.all(
    engines.map(async ({ name, device, formats }) => {
      const { version, path, locked, software, why } = await probeInThread(name)
      return { name, version, device, formats, path, locked, software, usable: why === null, why }
    }),
  )
}

async function probeInThread(engine: string): Promise<Probe> {
  const link = new WorkerLink()
  try {
    return await link.probe({ kind: "probe", engine })
  } catch (error) {
    return { path: null, version: null, locked: null, software: false, why: messageOf(error) }
  } finally {
    await link.close()
  }
}

/** Installs an engine and locks it. Throws as `installEngine`; USAGE for a name that is none. */
export async function addEngine(name: string, options: Omit<InstallOptions, "folder">): Promise<VerifiedEngine> {
  const engine = requirePackage(name)
  const folder = requireFolder()
  const installed = await installEngine(engine, { ...options, folder })
  return await lockOne(folder, engine, { ...installed, folder: realpathSync(installed.folder) })
}

/** Locks every engine package that is found, where it is found now. Throws USAGE, DEVICE_UNAVAILABLE for a mixed pair. */
export async function lockEngines(): Promise<VerifiedEngine[]> {
  const folder = requireFolder()
  await makeFolder(folder)
  const locked: VerifiedEngine[] = []
  for (const engine of enginePackages) {
    const installed = findPackage(engine)
    if (installed !== null) locked.push(await lockOne(folder, engine, installed))
  }
  return locked
}

/** Compares all that is locked with what is there. */
export function verifyEngines(): VerifiedEngine[] {
  return readLock(requireFolder()).map(({ name, version, path, files }) => {
    const known = packageNamed(name)
    const state = { name, version, path, files: files.length }
    if (known === undefined) return { ...state, why: "this release knows no such engine" }
    try {
      return { ...state, why: firstDifference(files, hashNativeFiles(path, known.nativeFolder)) }
    } catch (error) {
      return { ...state, why: messageOf(error) }
    }
  })
}

/** Removes what `add` installed, and its line in the lock. Throws USAGE; NOT_FOUND is for the caller to say of `false`. */
export async function removeEngine(name: string): Promise<boolean> {
  const engine = requirePackage(name)
  const folder = requireFolder()
  const home = join(folder, engine.name)
  const isThere = (await stat(home).catch(() => null)) !== null
  const lock = readLock(folder)
  const kept = lock.filter((one) => one.name !== engine.name)
  if (kept.length < lock.length) await writeLock(folder, kept)
  await rm(home, { recursive: true, force: true })
  if (isThere) await syncFolder(folder)
  return isThere || kept.length < lock.length
}

async function lockOne(
  folder: string,
  engine: EnginePackage,
  { folder: path, version }: Installed,
): Promise<VerifiedEngine> {
  const files = hashNativeFiles(path, engine.nativeFolder)
  requireOneVersion(engine, path, version, files)
  const entry: LockedEngine = { name: engine.name, version: version ?? "unknown", path, files }
  const others = readLock(folder).filter((one) => one.path !== path)
  await writeLock(folder, [...others, entry])
  return { name: engine.name, version: entry.version, path, files: files.length, why: null }
}

function requireOneVersion(
  engine: EnginePackage,
  path: string,
  version: string | null,
  files: readonly NativeFile[],
): void {
  const why = mixedPair(engine.known, version, files) ?? strangePair(engine, path, version, files)
  if (why === null) return
  throw new RuntimeError("DEVICE_UNAVAILABLE", why, { hint: "take the providers of the very version of the package" })
}

/** A provider that no table knows says its version itself. */
function strangePair(
  { known }: EnginePackage,
  folder: string,
  version: string | null,
  files: readonly NativeFile[],
): string | null {
  if (version === null || !Object.hasOwn(known, version)) return null
  for (const { path } of files) {
    if (!/providers/.test(path)) continue
    const named = versionsNamed(join(folder, path))
    if (named.length > 0 && !named.includes(version))
      return `${path} names version ${named.join(" and ")}, and the package is of ${version}: they do not belong together`
  }
  return null
}

function requirePackage(name: string): EnginePackage {
  const engine = packageNamed(name)
  if (engine !== undefined) return engine
  const isOurs = engines.some((one) => one.name === name)
  throw new RuntimeError(
    "USAGE",
    isOurs ? `${name} is part of weighlock` : `no engine is called ${JSON.stringify(name)}`,
    {
      hint: `engines that can be added: ${enginePackages.flatMap((one) => (one.pinned === null ? [] : one.name)).join(", ")}`,
    },
  )
}

function requireFolder(): string {
  const folder = enginesFolder()
  if (folder !== null) return folder
  throw new RuntimeError("USAGE", "this user has no home folder", {
    hint: "set WEIGHLOCK_ENGINES to a folder of your own",
  })
}
