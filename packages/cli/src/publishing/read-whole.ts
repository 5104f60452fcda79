/** A file in memory, also one of more than the 2 GiB that `readFile` takes. */
import { type FileHandle, open } from "node:fs/promises"
import { ManifestError } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"

/** Throws FILE_UNREADABLE. */
export async function readWhole({ path }: Pick<FoundFile, "path">): Promise<Buffer<ArrayBuffer>> {
  const file = await openFile(path)
  try {
    return await readAt(file, 0, (await file.stat()).size)
  } finally {
    await file.close()
  }
}

/** Throws FILE_UNREADABLE. */
export async function openFile(path: string): Promise<FileHandle> {
  return await open(path).catch((cause: unknown) => {
    throw new ManifestError("FILE_UNREADABLE", `cannot read ${path}: ${(cause as Error).message}`, { cause })
  })
}

/** Up to `length` bytes from `at` on; fewer at the end of the file. */
export async function readAt(file: FileHandle, at: number, length: number): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, 2 ** 28), at + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}
