/** Form checks on JSON that a model brought along; every failure is MODEL_REFUSED and names the place. */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"

export function asObject(value: JsonValue | undefined, where: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused(`${where} is not an object`)
  return value
}

export function asArray(value: JsonValue | undefined, where: string, most: number): JsonValue[] {
  if (!Array.isArray(value)) throw refused(`${where} is not a list`)
  if (value.length > most) throw refused(`${where} has ${value.length} items; at most ${most} are accepted`)
  return value
}

/** A name becomes a key of the library's own plain objects: what those inherit is no name. */
export function asName(value: JsonValue | undefined, where: string): string {
  if (typeof value !== "string" || value === "" || value.length > 512) throw refused(`${where} is not a name`)
  if (value in {}) throw refused(`${where} may not be ${JSON.stringify(value)}`)
  return value
}

export function asOneOf<T extends string>(value: JsonValue | undefined, allowed: readonly T[], where: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw refused(`${where} is ${JSON.stringify(value)}; accepted: ${allowed.join(", ")}`)
  return found
}

export function asFinite(value: JsonValue | undefined, where: string): number {
  if (typeof value !== "number" || !Number.isFinite(value)) throw refused(`${where} is not a finite number`)
  return value
}

/** Sizes of a tensor: safe integers from 0, at most 8 of them, whose product is one too. */
export function asShape(value: JsonValue | undefined, where: string): number[] {
  const shape = asArray(value, where, 8).map((size) => {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0 || Object.is(size, -0)) {
      throw refused(`${where} holds ${JSON.stringify(size)}, which is no size`)
    }
    return size
  })
  if (!Number.isSafeInteger(shape.reduce((product, size) => product * size, 1))) throw refused(`${where} is absurd`)
  return shape
}
