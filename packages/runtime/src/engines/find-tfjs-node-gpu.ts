/** Where @tensorflow/tfjs-node-gpu is: from the working directory, then in the folder WEIGHLOCK_ENGINES, then beside us. */
import { createRequire } from "node:module"
import { join, resolve } from "node:path"

export const packageName = "@tensorflow/tfjs-node-gpu"

/** The file that would be loaded, or null. `doctor` prints it. */
export function findTfjsNodeGpu(): string | null {
  const folders = [process.cwd(), process.env["WEIGHLOCK_ENGINES"], import.meta.dirname]
  for (const folder of folders) {
    if (!folder) continue
    try {
      return createRequire(join(resolve(folder), "package.json")).resolve(packageName)
    } catch {
      // not installed there: look in the next
    }
  }
  return null
}
