/** Members of a registry's JSON answers, each of the one form that docs/log.md gives it; anything else is PROTOCOL. */
import { decodeBase64, type JsonValue, parseJson } from "@weighlock/manifest"
import { ClientError } from "./errors.ts"

export type JsonMembers = Readonly<Record<string, JsonValue>>

/** No tree needs more hashes in a proof. */
const mostHashes = 64

export function parseMembers(body: Uint8Array, what: string): JsonMembers {
  return asMembers(
    formed(what, () => parseJson(body, what)),
    what,
  )
}

export function asMembers(value: JsonValue | undefined, what: string): JsonMembers {
  if (value === undefined || value === null || typeof value !== "object" || Array.isArray(value)) throw malformed(what)
  return value
}

export function countOf(members: JsonMembers, name: string, what: string): number {
  const value = members[name]
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw malformed(`${what}: ${name}`)
  return value
}

export function textOf(members: JsonMembers, name: string, what: string): string {
  const value = members[name]
  if (typeof value !== "string") throw malformed(`${what}: ${name}`)
  return value
}

export function listOf(members: JsonMembers, name: string, what: string): readonly JsonValue[] {
  const value = members[name]
  if (!Array.isArray(value)) throw malformed(`${what}: ${name}`)
  return value
}

export function bytesOf(members: JsonMembers, name: string, what: string): Uint8Array {
  return formed(what, () => decodeBase64(textOf(members, name, what), name))
}

export function hashesOf(members: JsonMembers, name: string, what: string): Uint8Array[] {
  const list = listOf(members, name, what)
  if (list.length > mostHashes) throw malformed(`${what}: ${name}`)
  return list.map((item) => {
    const hash = typeof item === "string" ? formed(what, () => decodeBase64(item, name)) : null
    if (hash?.length !== 32) throw malformed(`${what}: ${name}`)
    return hash
  })
}

export function malformed(what: string, cause?: unknown): ClientError {
  return new ClientError("PROTOCOL", `the registry's answer is not of the documented form (${what})`, { cause })
}

function formed<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw malformed(what, cause)
  }
}
