/** What the blob store asks of the disk: a file that is absent is no fault, any other refusal is UNAVAILABLE. */
import { access, lstat } from "node:fs/promises"

import { isSha256Hex } from "@weighlock/manifest"

import { RegistryError } from "../errors.ts"

export function requireHex(text: string): string {
  if (!isSha256Hex(text)) throw new RegistryError("USAGE", "a digest is 64 lower-case hex characters")
  return text
}

/** Bytes of a regular file; `null` when there is none. */
export async function sizeOf(path: string): Promise<number | null> {
  const found = await absentAsNull(lstat(path))
  return found?.isFile() ? found.size : null
}

export async function exists(path: string): Promise<boolean> {
  return (await absentAsNull(access(path).then(() => true))) ?? false
}

export async function absentAsNull<T>(found: Promise<T>): Promise<T | null> {
  try {
    return await found
  } catch (error) {
    if (isCode(error, "ENOENT") || isCode(error, "ENOTDIR")) return null
    throw unavailable(error)
  }
}

export async function orUnavailable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw unavailable(error)
  }
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code

export function unavailable(cause: unknown): RegistryError {
  return new RegistryError("UNAVAILABLE", "the blob store's disk refused", { cause })
}
