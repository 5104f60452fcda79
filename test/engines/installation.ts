/** Folders in which @tensorflow/tfjs-node-gpu is found: the real package, or the real package over the fake binding. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"

const require = createRequire(import.meta.url)
const real = require.resolve("@tensorflow/tfjs-node-gpu")

const made: string[] = []

export function removeFolders(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true })
}

/** A new folder with `index` as the package's main module; without one an empty folder. */
export function folderWith(index?: string): string {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-engines-"))
  made.push(folder)
  if (index === undefined) return folder
  const home = join(folder, "node_modules/@tensorflow/tfjs-node-gpu")
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, "package.json"), JSON.stringify({ name: "@tensorflow/tfjs-node-gpu", main: "index.cjs" }))
  writeFileSync(join(home, "index.cjs"), index)
  return folder
}

/** The package's own JavaScript; only the search for its binary is answered by us. */
export function overFakeBinding(): string {
  const binding = JSON.stringify(join(import.meta.dirname, "fake-binding.cjs"))
  return folderWith(`
    const { createRequire } = require("node:module")
    const gyp = createRequire(${JSON.stringify(real)}).resolve("@mapbox/node-pre-gyp")
    createRequire(gyp)("./pre-binding").find = () => ${binding} // node-pre-gyp's own find is a getter for this one
    module.exports = require(${JSON.stringify(real)})`)
}

/** As pnpm installed it here: no native code at all. */
export function asInstalled(): string {
  return import.meta.dirname
}
