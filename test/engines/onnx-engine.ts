/** onnxruntime as `weighlock engine add` installs it, once for all files of this suite; and copies of it to spoil. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Kept between runs; not part of the repository. */
export const installedEngines = join(import.meta.dirname, ".installed")
export const native = `bin/napi-v6/${process.platform}/${process.arch}`
const made: string[] = []

/** Sets WEIGHLOCK_ENGINES; `pnpm test:engines` has installed it. */
export function useInstalled(): void {
  process.env["WEIGHLOCK_ENGINES"] = installedEngines
  if (!existsSync(join(installedEngines, "engine-lock.json")))
    throw new Error("run pnpm test:engines, which installs onnxruntime")
}

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-onnx-"))
  made.push(folder)
  return folder
}

export function removeFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true })
}

/** A folder with onnxruntime-node in its node_modules, whose native files for this machine are copies; no lock. */
export function service(): string {
  const folder = newFolder()
  const from = join(installedEngines, "onnxruntime/node_modules")
  const to = join(folder, "node_modules")
  mkdirSync(join(to, "onnxruntime-node"), { recursive: true })
  symlinkSync(join(from, "onnxruntime-common"), join(to, "onnxruntime-common"))
  for (const name of ["package.json", "dist"]) {
    cpSync(join(from, "onnxruntime-node", name), join(to, "onnxruntime-node", name), { recursive: true })
  }
  cpSync(join(from, "onnxruntime-node", native), join(to, "onnxruntime-node", native), { recursive: true })
  return folder
}
