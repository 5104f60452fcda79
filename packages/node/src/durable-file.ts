/**
 * Small files that are whole or absent, after a kill and after a power cut too.
 *
 *     keys/.weighlock-9f86d081884c7d65.tmp     written and synced
 *     keys/alice.pem                           then it gets its name, and the folder is synced
 *
 * What a killed process leaves is the first of the two. It is in nobody's way, and goes an hour later, when a process first
 * writes to that folder.
 */
import { randomBytes } from "node:crypto"
import { link, lstat, open, readdir, rename, rm, unlink } from "node:fs/promises"
import { dirname, join } from "node:path"

import { syncFolder } from "./durable-folder.ts"
import { explained } from "./mount-point.ts"
import { renameOnce } from "./rename-once.ts"

export interface FileOptions {
  /** Before the umask; 0600 unless told. */
  readonly mode?: number
  /** `later`: whoever makes many files syncs their folder once, with `syncFolder`. `now` unless told. */
  readonly folder?: "now" | "later"
}

/**
 * Makes a file that was not there. `false` when something has that name; it is not touched, and what it holds is for the
 * caller to look at. Of several processes that make one file, one does. The name is durable either way: whoever made it may
 * have been killed before its folder was synced.
 */
export async function createFile(
  path: string,
  content: Uint8Array | string,
  { mode = 0o600, folder = "now" }: FileOptions = {},
): Promise<boolean> {
  const isMade = !(await exists(path)) && (await nameNew(path, content, mode))
  if (folder === "now") await syncFolder(dirname(path))
  return isMade
}

async function nameNew(path: string, content: Uint8Array | string, mode: number): Promise<boolean> {
  for (;;) {
    const temporary = await writeBeside(path, content, mode)
    try {
      const outcome = await nameOnce(temporary, path)
      if (outcome !== "lost") return outcome
    } finally {
      await unlink(temporary).catch(() => undefined)
    }
  }
}

/** Makes a file, in the place of one that was there. Whoever reads it finds all of the old or all of the new. */
export async function replaceFile(
  path: string,
  content: Uint8Array | string,
  { mode = 0o600, folder = "now" }: FileOptions = {},
): Promise<void> {
  const temporary = await writeBeside(path, content, mode)
  try {
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw explained(error, path)
  }
  if (folder === "now") await syncFolder(dirname(path))
}

/** The name of what is being made in a folder, for whoever fills a folder and then moves it: its leftovers go like ours. */
export function temporaryIn(folder: string): string {
  return join(folder, `.weighlock-${randomBytes(8).toString("hex")}.tmp`)
}

/** Whether a file or folder of that name is one of these: nothing that anybody wants. */
export function isTemporary(name: string): boolean {
  return temporaryForm.test(name)
}

const temporaryForm = /^\.weighlock-[0-9a-f]{16}\.tmp$/
/** How long nobody can be at work on a small file, ms. */
const deadAfter = 3_600_000

async function writeBeside(path: string, content: Uint8Array | string, mode: number): Promise<string> {
  const temporary = temporaryIn(dirname(path))
  const file = await open(temporary, "wx", mode)
  try {
    await file.writeFile(content)
    await file.sync()
    await removeLeftovers(dirname(path), (await file.stat()).mtimeMs)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  } finally {
    await file.close()
  }
  return temporary
}

/** Folders that this process has looked at. */
const swept = new Set<string>()

/** `now` by the clock of the file system, which need not be ours. */
async function removeLeftovers(folder: string, now: number): Promise<void> {
  if (swept.has(folder)) return
  swept.add(folder)
  for (const name of await readdir(folder).catch(() => [])) {
    if (!isTemporary(name)) continue
    const path = join(folder, name)
    const found = await lstat(path).catch(() => null)
    if (found !== null && now - found.mtimeMs > deadAfter)
      await rm(path, { recursive: true, force: true }).catch(() => undefined)
  }
}

/** What file systems without hard links answer; Android forbids them. */
const noLinks: ReadonlySet<string> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EACCES", "EMLINK"])

/**
 * `false` when something has the name. A link never replaces what is there, as a rename would. `lost`: the temporary file is
 * gone, and the name is not given.
 */
async function nameOnce(temporary: string, path: string): Promise<boolean | "lost"> {
  try {
    await link(temporary, path)
    return true
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException
    if (code === "EEXIST") return false
    if (!noLinks.has(code)) throw explained(error, path)
    return await renameOnce(temporary, path, () => temporaryIn(dirname(path)))
  }
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  )
}
