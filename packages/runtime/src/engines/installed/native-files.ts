/** The native files of an installed package, and their digests: what a process runs once it loads them. */
import { createHash } from "node:crypto"
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs"
import { join, relative, sep } from "node:path"

export interface NativeFile {
  /** Within the package, with slashes. */
  readonly path: string
  readonly sha256: string
  readonly size: number
}

const nativeName = /\.(?:node|so|dylib|dll)(?:\.\d+)*$/i
const block = 2 ** 22

/** Sorted by path. Throws what the file system does. */
export function hashNativeFiles(packageFolder: string, nativeFolder: string): NativeFile[] {
  const paths = nativeFiles(join(packageFolder, nativeFolder)).toSorted()
  return paths.map((path) => ({
    path: relative(packageFolder, path).split(sep).join("/"),
    ...hashFile(path),
  }))
}

/** Everything that a loader could take for a library, links too. */
function nativeFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : nativeFiles(path)
    return nativeName.test(entry.name) ? [path] : []
  })
}

function hashFile(path: string): Pick<NativeFile, "sha256" | "size"> {
  const hash = createHash("sha256")
  const buffer = Buffer.alloc(Math.min(block, Math.max(1, statSync(path).size)))
  const file = openSync(path, "r")
  try {
    let size = 0
    for (let count = 1; count > 0; size += count) {
      count = readSync(file, buffer)
      hash.update(buffer.subarray(0, count))
    }
    return { sha256: hash.digest("hex"), size }
  } finally {
    closeSync(file)
  }
}
