/**
 * Private keys in PEM and its relatives, wherever in a text they are: alone in a file, in the string of a JSON document or
 * of a notebook (line breaks as `\n`), indented in YAML, or as base64 in a kubeconfig.
 *
 *     -----BEGIN ENCRYPTED PRIVATE KEY-----
 *     MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSsGAQQB2kcECzAkBBA…
 *
 * A page that shows how one looks (`MIIE…`, `...`) and a vocabulary that has the words are no keys: there must be a body.
 */
import { isPlaceholder } from "./placeholder.ts"

/** Bytes that follow such a line and are looked at; also what two pieces of a large file must overlap. */
export const keySpan = 4096

/** What a private key's text cannot be without, for a quick search. */
export const keyNeedles: readonly string[] = ["PRIVATE KEY", "LS0tLS1CRUdJTi", "LS0tQkVHSU4g", "LS0tLUJFR0lO"]

const begin = /-----BEGIN ((?:[A-Z0-9]+ )*)PRIVATE KEY(?: BLOCK)?-----|---- BEGIN (SSH2 ENCRYPTED )PRIVATE KEY ----/g
// `-----BEGIN ` in base64, behind a multiple of three bytes, one more, and two more.
const packed = /(?:LS0tLS1CRUdJTi|LS0tQkVHSU4g|LS0tLUJFR0lO)[A-Za-z0-9+/]{32,}/g
const fullLine = 40

/** What kind of key is there, or `null`. */
export function findPrivateKey(text: string): string | null {
  for (const match of text.matchAll(begin)) {
    const end = match.index + match[0].length
    const rest = text.slice(end, end + keySpan)
    const before = match.index - text.lastIndexOf("\n", match.index) - 1
    if (hasBody(rest) || (before > 0 && hasBody(withoutPrefix(rest, before)))) return kindOf(match[1] ?? match[2] ?? "")
  }
  for (const [blob] of text.matchAll(packed))
    if (Buffer.from(blob.slice(0, 72), "base64").toString("latin1").includes("PRIVATE KEY-----"))
      return "a private key (PEM in base64)"
  return null
}

function kindOf(label: string): string {
  const kind = label.trim()
  if (kind === "PGP") return "an OpenPGP private key"
  if (kind === "OPENSSH") return "an OpenSSH private key"
  return kind === "" ? "a private key (PEM)" : `a private key (PEM, ${kind})`
}

/** Is the text behind the first line the body of a key? */
function hasBody(text: string): boolean {
  const [body = "", hasEnd] = text.split(/-----END|---- END/)
  const lines = linesOf(body)
  const [first = ""] = lines
  const [run = ""] = /^[A-Za-z0-9+/]*/.exec(first) ?? []
  if (run.length >= fullLine) return !isPlaceholder(run)
  // A short one, or one broken into short lines: all of it must be base64.
  return hasEnd !== undefined && lines.length > 0 && lines.every(isBase64) && !isPlaceholder(lines.join(""))
}

/** As in a log, where what stands before the first line stands before every line. */
function withoutPrefix(text: string, length: number): string {
  const [first = "", ...more] = text.split("\n")
  return [first, ...more.map((line) => line.slice(length))].join("\n")
}

const header = /^[A-Za-z][A-Za-z0-9-]*: /

/** The lines as a decoder would see them: without what JSON, YAML, source text and quotations put around them. */
function linesOf(body: string): string[] {
  const text = body.replaceAll(/\\+[nrt]|&#(?:10|13|x[AD]);/gi, "\n").replaceAll(/["'`,\\]/g, "")
  return text
    .split(/[\r\n]+/)
    .map((line) => line.replace(/^[\s>#*|]*(?:\+\s+)?/, "").replace(/\s+\+?\s*$/, ""))
    .filter((line) => line !== "" && !header.test(line))
}

function isBase64(line: string): boolean {
  return /^[A-Za-z0-9+/]+={0,2}$/.test(line)
}
