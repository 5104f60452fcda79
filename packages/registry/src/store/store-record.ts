/**
 * `blob-store` in a data folder: the bucket that its ledger's facts are about, such as `s3://models/prod`. Absent where the
 * folder keeps the blobs itself.
 */
import { open, readFile } from "node:fs/promises"
import { join } from "node:path"

import { syncFolder } from "./durable.ts"

const recordPath = (data: string): string => join(data, "blob-store")

export async function readStoreRecord(data: string): Promise<string | null> {
  const text = await readFile(recordPath(data), "utf8").catch(() => "")
  return text.trim() || null
}

export async function writeStoreRecord(data: string, name: string): Promise<void> {
  const file = await open(recordPath(data), "w", 0o600)
  try {
    await file.writeFile(`${name}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await syncFolder(data)
}
