/**
 * Files that are whole or absent, also after a power cut: written beside their place and synced, then named, and the name
 * synced too.
 */
import { randomBytes } from "node:crypto"
import { type FileHandle, link, open, rename, unlink } from "node:fs/promises"
import { dirname, join } from "node:path"

import { syncFolder } from "@weighlock/manifest/node"

/** Of files being written: whatever ends so was left by a process that died. */
export const temporarySuffix = ".tmp"

/**
 * `false` when something has that name already; it is not touched, and what it holds is for the caller to look at. Whoever
 * makes many files syncs their folder once, `later`.
 */
export async function createFile(
  path: string,
  bytes: Uint8Array,
  mode = 0o600,
  folder: "now" | "later" = "now",
): Promise<boolean> {
  const temporary = await writeBeside(path, bytes, mode)
  try {
    await link(temporary, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return false
    // A file system without hard links: the name is taken first, so there is still one winner.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP" && code !== "ENOSYS") throw error
    if (!(await claim(path, mode))) return false
    await rename(temporary, path)
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  if (folder === "now") await syncFolder(dirname(path))
  return true
}

/** Takes the place of what has that name. */
export async function replaceFile(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  const temporary = await writeBeside(path, bytes, mode)
  try {
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncFolder(dirname(path))
}

/**
 * What a regular file held when it was asked how much that is; `null` for what is none, or has changed its size since. A file
 * that grows while it is read can't make anyone read on.
 */
export async function readWhole(file: FileHandle): Promise<Uint8Array | null> {
  const found = await file.stat()
  if (!found.isFile()) return null
  const bytes = Buffer.alloc(found.size + 1)
  let size = 0
  for (let got = -1; got !== 0 && size < bytes.length; size += got)
    got = (await file.read(bytes, size, bytes.length - size, size)).bytesRead
  return size === found.size ? bytes.subarray(0, size) : null
}

async function claim(path: string, mode: number): Promise<boolean> {
  try {
    await (await open(path, "wx", mode)).close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false
    throw error
  }
}

async function writeBeside(path: string, bytes: Uint8Array, mode: number): Promise<string> {
  const temporary = join(dirname(path), `.${randomBytes(8).toString("hex")}${temporarySuffix}`)
  const file = await open(temporary, "wx", mode)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } catch (error) {
    await file.close()
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await file.close()
  return temporary
}
