/** Folders whose entries survive a power cut: a new name is durable only after the folder that holds it is synced. */
import { constants } from "node:fs"
import { mkdir, open, rename, stat } from "node:fs/promises"
import { dirname, resolve } from "node:path"

import { explained } from "./mount-point.ts"

/** Folders whose own name this process knows to be durable. */
const durable = new Set<string>()

/**
 * Makes a folder, by default for the owner only, with every missing parent, each entry durable. A folder's name is synced
 * before anything is made in it, so of the folders that a killed process has left only the last may not be durable; whoever
 * comes next syncs that one.
 */
export async function makeFolder(path: string, mode = 0o700): Promise<void> {
  const folder = resolve(path)
  if (await isFolder(folder)) {
    if (durable.has(folder)) return
  } else {
    if (dirname(folder) !== folder) await makeFolder(dirname(folder), mode) // else it is a drive that is not there
    // With `recursive` a folder that another process has made in this moment is no error, and a file of that name is.
    await mkdir(folder, { recursive: true, mode })
  }
  await syncFolder(dirname(folder))
  durable.add(folder)
}

/**
 * Makes the names in a folder durable. Does nothing where no folder can be synced: on Windows, whose NTFS journals them, on
 * file systems that refuse it, and in a folder that may be written to but not read.
 */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return
  try {
    await syncOpened(path, constants.O_RDONLY)
  } catch (error) {
    if (!unsyncable.has((error as NodeJS.ErrnoException).code ?? "")) throw error
  }
}

const unsyncable: ReadonlySet<string> = new Set(["EACCES", "EPERM", "EINVAL", "ENOTSUP", "EROFS", "EBADF"])

/** Makes the bytes of a file durable, not of one that it is a link to. Its name is durable once its folder is synced. */
export async function syncFile(path: string): Promise<void> {
  // Windows flushes no file that is open for reading only.
  await syncOpened(path, process.platform === "win32" ? constants.O_RDWR : constants.O_RDONLY | constants.O_NOFOLLOW)
}

async function syncOpened(path: string, flags: number): Promise<void> {
  const file = await open(path, flags)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Gives a file or a folder, whose content is synced already, its name, and makes the name durable. */
export async function moveDurably(from: string, to: string): Promise<void> {
  await rename(from, to).catch((cause: unknown) => {
    throw explained(cause, to)
  })
  await syncFolder(dirname(to))
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
