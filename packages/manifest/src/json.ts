/**
 * JSON as the product reads and signs it.
 *
 * `parseJson` is strict where `JSON.parse` is lenient: a duplicate key, a byte order mark, bytes that are not UTF-8, a
 * number that a double can't hold exactly, absurd depth or an absurd number of values is refused. Objects have no prototype, so `__proto__` is a key
 * like any other. `canonicalJson` writes RFC 8785 (JCS) bytes; `parseCanonical` accepts only those.
 */
import { decodeUtf8, encodeUtf8 } from "./encoding.ts"
import { invalid } from "./errors.ts"
import { countValues } from "./json-values.ts"

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject
export interface JsonObject {
  [key: string]: JsonValue
}

const maxDepth = 64
/** A manifest of 10,000 files has about a hundred thousand. */
const maxValues = 1_000_000
const space = /[\t\n\r ]*/y
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const literals: readonly (readonly [string, JsonValue])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
]

/** `what` names the document in errors. Throws MANIFEST_INVALID. */
export function parseJson(bytes: Uint8Array, what = "JSON"): JsonValue {
  const text = textOf(bytes, what)
  return parseCommon(text, "any order") ?? new Parser(text, what).document()
}

/** Only the RFC 8785 bytes of a value are accepted: one value, one spelling. */
export function parseCanonical(bytes: Uint8Array, what = "JSON"): JsonValue {
  const text = textOf(bytes, what)
  const common = parseCommon(text, "sorted")
  if (common !== undefined) return common
  const value = new Parser(text, what).document()
  if (canonicalText(value) !== text) throw invalid(`${what} is not canonical JSON (RFC 8785)`)
  return value
}

function textOf(bytes: Uint8Array, what: string): string {
  // Fewer bytes can't have more values.
  if (bytes.length > maxValues && countValues(bytes) > maxValues) {
    throw invalid(`${what} is not JSON we accept: more than ${maxValues} values`)
  }
  return decodeUtf8(bytes, what)
}

/**
 * The engine's own parser and writer, ten times as fast, decide the common case: what comes back as the same text has no
 * duplicate key, no white space and no second spelling of a number or a string; with sorted keys and safe integers
 * throughout it is canonical. An escaped lone surrogate would come back, and is left to the parser below, like everything
 * that is refused: `undefined`.
 */
function parseCommon(text: string, order: "sorted" | "any order"): JsonValue | undefined {
  if (text.includes("\\ud")) return undefined
  try {
    const value = JSON.parse(text) as JsonValue
    return JSON.stringify(value) === text && isCommon(value, order, 0) ? value : undefined
  } catch {
    return undefined
  }
}

/** Takes the prototypes off on its way. */
function isCommon(value: JsonValue, order: "sorted" | "any order", depth: number): boolean {
  if (depth > maxDepth) return false
  if (typeof value === "number") return Number.isSafeInteger(value)
  if (value === null || typeof value !== "object") return true
  if (Array.isArray(value)) return value.every((member) => isCommon(member, order, depth + 1))
  Object.setPrototypeOf(value, null)
  let previous = ""
  for (const [at, key] of Object.keys(value).entries()) {
    if (order === "sorted" && at > 0 && key <= previous) return false
    if (!isCommon(value[key] ?? null, order, depth + 1)) return false
    previous = key
  }
  return true
}

/** RFC 8785. Numbers are limited to safe integers, the only ones our formats hold. */
export function canonicalJson(value: JsonValue): Uint8Array<ArrayBuffer> {
  return encodeUtf8(canonicalText(value))
}

/** `canonicalJson` as text. */
export function canonicalText(value: JsonValue): string {
  if (typeof value === "number" && !Number.isSafeInteger(value)) throw invalid(`${value} is not a safe integer`)
  if (typeof value === "string" && !value.isWellFormed()) throw invalid("a string holds a lone surrogate")
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`
  const members = Object.keys(value).sort() // RFC 8785 §3.2.3: by UTF-16 code units, which is what sort() does
  return `{${members.map((key) => `${canonicalText(key)}:${canonicalText(value[key] ?? null)}`).join(",")}}`
}

class Parser {
  readonly #text: string
  readonly #what: string
  #at = 0
  constructor(text: string, what: string) {
    this.#text = text
    this.#what = what
  }

  document(): JsonValue {
    const value = this.#value(0)
    this.#match(space)
    if (this.#at !== this.#text.length) throw this.#refuse("trailing text")
    return value
  }

  #value(depth: number): JsonValue {
    if (depth > maxDepth) throw this.#refuse(`more than ${maxDepth} levels`)
    this.#match(space)
    const next = this.#text[this.#at]
    if (next === "{") return this.#object(depth)
    if (next === "[") return this.#array(depth)
    if (next === '"') return this.#string()
    for (const [word, value] of literals) if (this.#take(word)) return value
    return this.#number()
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = Object.create(null) as JsonObject
    this.#list("{", "}", () => {
      this.#match(space)
      const key = this.#string()
      this.#match(space)
      if (!this.#take(":")) throw this.#refuse("expected ':'")
      if (Object.hasOwn(object, key)) throw this.#refuse(`duplicate key ${JSON.stringify(key)}`)
      object[key] = this.#value(depth + 1)
    })
    return object
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = []
    this.#list("[", "]", () => array.push(this.#value(depth + 1)))
    return array
  }

  #list(open: string, close: string, member: () => void): void {
    this.#take(open)
    this.#match(space)
    if (this.#take(close)) return
    do {
      member()
      this.#match(space)
    } while (this.#take(","))
    if (!this.#take(close)) throw this.#refuse(`expected '${close}'`)
  }

  // Strings are mostly digests, paths and base64, and may be long: find the end here, let JSON.parse judge the token.
  #string(): string {
    const start = this.#at
    if (!this.#take('"')) throw this.#refuse("expected a string")
    while (this.#at < this.#text.length && this.#text[this.#at] !== '"')
      this.#at += this.#text[this.#at] === "\\" ? 2 : 1
    this.#at++
    const value = parseToken(this.#text.slice(start, this.#at))
    if (value === null) throw this.#refuse("malformed string")
    return value
  }

  #number(): number {
    const token = this.#match(number)
    const value = Number(token)
    if (token === "" || !Number.isFinite(value)) throw this.#refuse("malformed value")
    if (/^-?\d+$/.test(token) && !Number.isSafeInteger(value)) throw this.#refuse("an integer beyond 2^53-1")
    return value
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ""
    this.#at += found.length
    return found
  }

  #take(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false
    this.#at += word.length
    return true
  }

  #refuse(why: string): Error {
    return invalid(`${this.#what} is not JSON we accept: ${why} at character ${this.#at}`)
  }
}

/** `null` for what is no string token: a raw control character, a bad escape, no end, a lone surrogate. */
function parseToken(token: string): string | null {
  try {
    const value: unknown = JSON.parse(token)
    return typeof value === "string" && value.isWellFormed() ? value : null
  } catch {
    return null
  }
}
