/**
 * The grammars of names (docs/format.md, "Names"): the intersection of what OCI registries and model hubs accept.
 *
 *     models.acme.example:8443     origin: who the registry is
 *     acme/mnist                   model: namespace/name
 *     1.2.0-rc.1                   version: SemVer 2.0.0 without build metadata
 */
import { invalid } from "./errors.ts"

const segmentForm = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/
const labelForm = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const portForm = /^[1-9]\d{0,4}$/
const number = "(?:0|[1-9][0-9]*)"
const identifier = `(?:${number}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
/** Of a version, besides that it has at most 64 characters. */
export const versionPattern: string = `^(${number})\\.(${number})\\.(${number})(?:-(${identifier}(?:\\.${identifier})*))?$`
const versionForm = new RegExp(versionPattern)
const aliasForm = /^[a-z][a-z0-9-]{0,31}$/

/** One segment of a model name. */
export function isSegment(text: string): boolean {
  return text.length <= 64 && segmentForm.test(text) && !/\.(?:git|ipynb)$/.test(text)
}

export function isModelName(text: string): boolean {
  const segments = text.split("/")
  return text.length <= 96 && segments.length === 2 && segments.every(isSegment)
}

/** Returns the name, or throws MANIFEST_INVALID saying the rule. */
export function parseModelName(text: string): string {
  if (isModelName(text)) return text
  throw invalid(
    `${JSON.stringify(text)} is not a model name`,
    "write namespace/name in lower case: letters, digits and single . _ - between them, such as acme/mnist",
  )
}

export function isVersion(text: string): boolean {
  return text.length <= 64 && versionForm.test(text)
}

export function parseVersion(text: string): string {
  if (isVersion(text)) return text
  throw invalid(
    `${JSON.stringify(text)} is not a version`,
    "write a semantic version without build metadata, such as 1.2.0 or 2.0.0-rc.1",
  )
}

export function isAlias(text: string): boolean {
  return aliasForm.test(text)
}

/** `host` or `host:port`, lower case. */
export function isOrigin(text: string): boolean {
  const [host = "", port, ...more] = text.split(":")
  const portIsFine = port === undefined || (portForm.test(port) && Number(port) <= 65_535)
  return (
    text.length <= 200 && more.length === 0 && portIsFine && host.split(".").every((label) => labelForm.test(label))
  )
}

export function parseOrigin(text: string): string {
  if (isOrigin(text)) return text
  throw invalid(
    `${JSON.stringify(text)} is not a registry origin`,
    "write a lower-case DNS name with an optional port, such as models.acme.example or localhost:8080",
  )
}

/** SemVer 2.0.0 §11 precedence: negative, zero or positive. Both must be versions. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [splitVersion(a), splitVersion(b)]
  for (let at = 0; at < 3; at++) {
    const difference = compareNumeric(left.core[at] ?? "0", right.core[at] ?? "0")
    if (difference !== 0) return difference
  }
  if (left.pre.length === 0 || right.pre.length === 0) return right.pre.length - left.pre.length
  for (let at = 0; at < Math.min(left.pre.length, right.pre.length); at++) {
    const difference = compareIdentifier(left.pre[at] ?? "", right.pre[at] ?? "")
    if (difference !== 0) return difference
  }
  return left.pre.length - right.pre.length
}

function splitVersion(version: string): { core: string[]; pre: string[] } {
  const [, major = "0", minor = "0", patch = "0", pre] = versionForm.exec(version) ?? []
  return { core: [major, minor, patch], pre: pre === undefined ? [] : pre.split(".") }
}

function compareIdentifier(a: string, b: string): number {
  const [aNumeric, bNumeric] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (aNumeric && bNumeric) return compareNumeric(a, b)
  if (aNumeric !== bNumeric) return aNumeric ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

// Numbers of any length: without leading zeros the longer is the larger.
function compareNumeric(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}
