/**
 * `blob-store` in a data folder: the bucket that its ledger's facts are about, and the mark that it put there (s3-owner.ts).
 * Absent where the folder keeps the blobs itself.
 *
 *     s3://models/prod
 *     4f1c0d4c9a0b4e6f8a2f6f0e1d2c3b4a
 */
import { readFile } from "node:fs/promises"
import { join } from "node:path"

import { replaceFile } from "@weighlock/node"
import { RegistryError } from "../errors.ts"
import { absentAsNull } from "./disk.ts"

export interface StoreRecord {
  /** As `placeName` writes it. */
  readonly name: string
  readonly owner: string
}

const recordPath = (data: string): string => join(data, "blob-store")
const form = /^(s3:\/\/\S+)\n([0-9a-f]{32})\n$/

/** `null` when there is none. STORE_FAILED: it is damaged, or can't be read. */
export async function readStoreRecord(data: string): Promise<StoreRecord | null> {
  const path = recordPath(data)
  const text = await absentAsNull(readFile(path, "utf8")).catch((cause: unknown) => {
    throw damaged(path, cause)
  })
  if (text === null) return null
  const [, name, owner] = form.exec(text) ?? []
  if (name === undefined || owner === undefined) throw damaged(path)
  return { name, owner }
}

/** Whole or not at all. */
export async function writeStoreRecord(data: string, { name, owner }: StoreRecord): Promise<void> {
  await replaceFile(recordPath(data), `${name}\n${owner}\n`)
}

function damaged(path: string, cause?: unknown): RegistryError {
  return new RegistryError("STORE_FAILED", `${path} does not say which bucket has the blobs`, {
    cause,
    hint: "restore it: two lines, the bucket as --store names it and the mark in the object `registry` there",
  })
}
