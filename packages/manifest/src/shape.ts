/**
 * Schema checks by own keys: what is there must be expected, what is expected must be there, nothing is merged.
 *
 *     const { name, size, parts } = fields(value, "resources[0]", ["name", "size"], ["parts"])
 */
import { invalid } from "./errors.ts"
import type { JsonObject, JsonValue } from "./json.ts"

export type Fields<Required extends string, Optional extends string> = { readonly [K in Required]: JsonValue } & {
  readonly [K in Optional]?: JsonValue
}

/** Refuses anything but an object with exactly the `required` keys and at most the `optional` ones. */
export function fields<Required extends string, Optional extends string = never>(
  value: JsonValue | undefined,
  what: string,
  required: readonly Required[],
  optional: readonly Optional[] = [],
): Fields<Required, Optional> {
  const object = asObject(value, what)
  const known = new Set<string>([...required, ...optional])
  for (const key of Object.keys(object)) {
    if (!known.has(key)) throw invalid(`${what} has the unknown field ${JSON.stringify(key)}`)
  }
  for (const key of required) if (!Object.hasOwn(object, key)) throw invalid(`${what} lacks ${JSON.stringify(key)}`)
  return object as Fields<Required, Optional>
}

export function asObject(value: JsonValue | undefined, what: string): JsonObject {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw invalid(`${what} is not an object`)
  return value
}

export function asArray(value: JsonValue | undefined, what: string): JsonValue[] {
  if (!Array.isArray(value)) throw invalid(`${what} is not a list`)
  return value
}

export function asString(value: JsonValue | undefined, what: string): string {
  if (typeof value !== "string") throw invalid(`${what} is not a string`)
  return value
}

/** A safe integer ≥ `least`. */
export function asInteger(value: JsonValue | undefined, what: string, least = 0): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < least || Object.is(value, -0)) {
    throw invalid(`${what} is not an integer ≥ ${least}`)
  }
  return value
}

/** Refuses every value but `expected`. */
export function asExactly<T extends string | number | boolean>(
  value: JsonValue | undefined,
  what: string,
  expected: T,
): T {
  if (value !== expected) {
    throw invalid(`${what} is ${JSON.stringify(value)}, expected ${JSON.stringify(expected)}`)
  }
  return expected
}
