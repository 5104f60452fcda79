/**
 * File paths in a manifest: relative, `/`-separated, one spelling, and safe to create on every system.
 * Two paths that some file system would take for one are refused, so what was signed is what any machine sees.
 */
import { compareUtf8, encodeUtf8 } from "./encoding.ts"
import { invalid } from "./errors.ts"
import { limits } from "./limits.ts"

/** OMS's top-level defaults: never part of a model. */
export const ignoredNames: readonly string[] = [".git", ".gitattributes", ".github", ".gitignore"]

// Category Cc, line and paragraph separators, bidirectional controls, and the separators of other systems.
const forbidden = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\\:]/u
const windowsDevice = /^(?:con|prn|aux|nul|(?:com|lpt)[1-9\u00b9\u00b2\u00b3]) *(?:\.|$)/i

/** Returns `path`, or throws MANIFEST_INVALID with the rule it breaks. */
export function parsePath(path: string): string {
  const fault = faultOf(path)
  if (fault !== null) throw invalid(`the path ${JSON.stringify(path)} ${fault}`)
  return path
}

function faultOf(path: string): string | null {
  if (!path.isWellFormed() || path.normalize("NFC") !== path) return "is not well-formed NFC text"
  if (encodeUtf8(path).length > limits.path) return `is longer than ${limits.path} bytes`
  const segments = path.split("/")
  if (ignoredNames.includes(foldPath(segments[0] ?? ""))) return "begins with a name that is never part of a model"
  for (const segment of segments) {
    const fault = segmentFault(segment)
    if (fault !== null) return fault
  }
  return null
}

function segmentFault(segment: string): string | null {
  if (segment === "" || segment === "." || segment === "..") return "has an empty, '.' or '..' segment"
  if (encodeUtf8(segment).length > 255) return "has a segment of more than 255 bytes"
  if (forbidden.test(segment)) return "holds a backslash, a colon, a control or a bidirectional control character"
  if (/[. ]$/.test(segment)) return "has a segment that ends in a dot or a space"
  if (windowsDevice.test(segment)) return "has a segment that is a Windows device name"
  return null
}

/** How a case-insensitive, normalising file system may see a path. */
export function foldPath(path: string): string {
  // Lower case first: capital ẞ has no upper case of its own, and would not meet ß and ss otherwise.
  return path.toLowerCase().toUpperCase().toLowerCase().normalize("NFC")
}

/**
 * Refuses a list that is not strictly sorted by UTF-8 bytes, or in which two paths (or their directories) are one after
 * folding but spelled otherwise, or a file is also a directory.
 */
export function requireDistinctPaths(paths: readonly string[]): void {
  const spelling = new Map<string, string>()
  const files = new Set<string>()
  let previous: string | null = null
  for (const path of paths) {
    parsePath(path)
    if (previous !== null && compareUtf8(previous, path) >= 0)
      throw invalid(`files are not sorted at ${JSON.stringify(path)}`)
    previous = path
    files.add(foldPath(path))
    for (const prefix of prefixesOf(path)) claim(spelling, prefix)
  }
  for (const path of paths) {
    for (const directory of prefixesOf(path).slice(0, -1)) {
      if (files.has(foldPath(directory))) throw invalid(`${JSON.stringify(directory)} is both a file and a directory`)
    }
  }
}

function claim(spelling: Map<string, string>, path: string): void {
  const folded = foldPath(path)
  const first = spelling.get(folded) ?? path
  if (first !== path) throw invalid(`${JSON.stringify(first)} and ${JSON.stringify(path)} are one path on some systems`)
  spelling.set(folded, path)
}

/** `a/b/c` → `a`, `a/b`, `a/b/c`. */
function prefixesOf(path: string): string[] {
  const segments = path.split("/")
  return segments.map((_, at) => segments.slice(0, at + 1).join("/"))
}
