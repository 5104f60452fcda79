/**
 * Which paths a manifest names as left out. A folder verifies if it holds the listed files and nothing else but these, so
 * everything that was left out stands there, whole folders as one path.
 *
 * A manifest takes only paths that any system can hold, and 10,000 of them. A folder of which nothing is taken can stand
 * for what is in it; where there is none, the publisher has to move something.
 */
import { compareUtf8, ignoredNames, limits, ManifestError, parsePath } from "@weighlock/manifest"
import type { Listing } from "@weighlock/manifest/node"

/** Sorted by UTF-8 bytes. Throws MANIFEST_INVALID or TOO_LARGE. */
export function ignorePaths({ files, leftOut }: Listing): string[] {
  const paths = leftOut.map(({ path }) => path).filter((path) => !ignoredNames.includes(path))
  const taken = new Set(files.flatMap(({ name }) => [name, ...foldersAbove(name)]))
  const named = paths.map((path) => nameable(path, taken))
  const few =
    named.length > limits.excluded ? named.map((path) => foldersAbove(path).find((f) => !taken.has(f)) ?? path) : named
  const distinct = withoutBelow(few)
  if (distinct.length > limits.excluded)
    throw new ManifestError(
      "TOO_LARGE",
      `${distinct.length} paths are left out, more than the ${limits.excluded} allowed`,
      {
        hint: "leave out whole folders, or move what is not part of the model out of the folder",
      },
    )
  return distinct
}

/** The path, or the nearest folder above it that a manifest can name and of which nothing is taken. */
function nameable(path: string, taken: ReadonlySet<string>): string {
  const fault = faultOf(path)
  if (fault === null) return path
  const folder = foldersAbove(path).findLast((above) => !taken.has(above) && faultOf(above) === null)
  if (folder !== undefined) return folder
  throw new ManifestError("MANIFEST_INVALID", `${fault}: it is left out, and a manifest has to name what is left out`, {
    hint: "rename it, or move it out of the model folder",
  })
}

function faultOf(path: string): string | null {
  try {
    parsePath(path)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** `a/b/c` → `a`, `a/b` */
function foldersAbove(path: string): string[] {
  const segments = path.split("/")
  return segments.slice(1).map((_, at) => segments.slice(0, at + 1).join("/"))
}

function withoutBelow(paths: readonly string[]): string[] {
  const all = new Set(paths)
  return [...all].filter((path) => !foldersAbove(path).some((above) => all.has(above))).toSorted(compareUtf8)
}
