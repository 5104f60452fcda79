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
const dots = /(?:^|\/)\.{0,2}(?:\/|$)/
const trailing = /[. ](?:\/|$)/
const windowsDevice = /(?:^|\/)(?:con|prn|aux|nul|(?:com|lpt)[1-9\u00b9\u00b2\u00b3]) *(?:[./]|$)/i

/** Returns `path`, or throws MANIFEST_INVALID with the rule it breaks. */
export function parsePath(path: string): string {
  const fault = faultOf(path)
  if (fault !== null) throw invalid(`the path ${JSON.stringify(path)} ${fault}`)
  return path
}

function faultOf(path: string): string | null {
  // Length first: to normalise many combining marks takes time that grows with the square of their number.
  if (path.length > limits.path || encodeUtf8(path).length > limits.path) return `is longer than ${limits.path} bytes`
  if (!path.isWellFormed() || path.normalize("NFC") !== path) return "is not well-formed NFC text"
  if (ignoredNames.includes(foldPath(beginning(path, 1)))) return "begins with a name that is never part of a model"
  if (dots.test(path)) return "has an empty, '.' or '..' segment"
  if (path.split("/").some(isLong)) return "has a segment of more than 255 bytes"
  if (forbidden.test(path)) return "holds a backslash, a colon, a control or a bidirectional control character"
  if (trailing.test(path)) return "has a segment that ends in a dot or a space"
  if (windowsDevice.test(path)) return "has a segment that is a Windows device name"
  return null
}

function isLong(segment: string): boolean {
  return segment.length > 85 && encodeUtf8(segment).length > 255 // at most three bytes a code unit
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
  let previous: string | null = null
  for (const path of paths) {
    parsePath(path)
    if (previous !== null && compareUtf8(previous, path) >= 0)
      throw invalid(`files are not sorted at ${JSON.stringify(path)}`)
    previous = path
  }
  // In this order all paths of one folded directory are neighbours, so two spellings of it meet, and a file comes right
  // before what lies below it.
  const ordered = paths.map((path) => ({ path, key: orderKey(foldPath(path)) })).toSorted(byKey)
  for (const [at, next] of ordered.entries()) if (at > 0) requireApart(ordered[at - 1] ?? next, next)
}

/** The first of `paths` that is one of `roots` or lies below one, with it. Both are such that `requireDistinctPaths` takes. */
export function findBelow(paths: readonly string[], roots: readonly string[]): { path: string; root: string } | null {
  if (roots.length === 0) return null
  const places = roots.map(orderKey).toSorted()
  let at = 0
  for (const key of paths.map(orderKey).toSorted()) {
    while (at + 1 < places.length && (places[at + 1] ?? "") <= key) at++
    // No root is below another, so none stands between a root and what is below it.
    const root = places[at]
    if (root !== undefined && isAtOrBelow(key, root)) return { path: pathOf(key), root: pathOf(root) }
  }
  return null
}

interface Keyed {
  readonly path: string
  /** Of the folded path. */
  readonly key: string
}

// A path holds no NUL, so with it for "/" a directory comes before what is below it, and that before anything else.
function orderKey(path: string): string {
  return path.replaceAll("/", "\0")
}

function pathOf(key: string): string {
  return key.replaceAll("\0", "/")
}

function byKey(a: Keyed, b: Keyed): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}

function isAtOrBelow(key: string, root: string): boolean {
  return key.startsWith(root) && (key.length === root.length || key[root.length] === "\0")
}

function requireApart(before: Keyed, after: Keyed): void {
  const shared = sharedSegments(before.key, after.key)
  const [first, second] = [beginning(before.path, shared), beginning(after.path, shared)]
  if (first !== second)
    throw invalid(`${JSON.stringify(first)} and ${JSON.stringify(second)} are one path on some systems`)
  if (isAtOrBelow(after.key, before.key)) throw invalid(`${JSON.stringify(first)} is both a file and a directory`)
}

/** With how many whole segments both begin. */
function sharedSegments(a: string, b: string): number {
  let count = 0
  for (let at = 0; ; at++) {
    // The end of a path ends its last segment.
    const [left, right] = [codeAt(a, at), codeAt(b, at)]
    if (left !== right) return count
    if (left === 0) count++
    if (at === a.length || at === b.length) return count
  }
}

function codeAt(key: string, at: number): number {
  return at < key.length ? key.charCodeAt(at) : 0
}

/** The first `count` segments; folding keeps their number. */
function beginning(path: string, count: number): string {
  let end = -1
  for (let left = count; left > 0; left--) {
    end = path.indexOf("/", end + 1)
    if (end < 0) return path
  }
  return path.slice(0, Math.max(end, 0))
}
