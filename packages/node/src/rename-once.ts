/**
 * Gives a file a name that nothing has yet, where the file system knows no hard links (exFAT, some network drives, Android).
 *
 *     keys/.weighlock-0a1b2c3d4e5f6071.tmp/.weighlock-9f86….tmp   its own folder, with the file in it
 *     keys/.weighlock-e68e6f019c05ef4e.tmp/.weighlock-9f86….tmp   is moved to the one name for "alice.pem": the claim
 *     keys/alice.pem                                            then the file gets its name
 *
 * A rename replaces what is there, so nobody else may come between the look and the rename. A folder is never moved onto one
 * that has something in it: of all that want the claim one gets it. Whoever holds it for 10 s is taken for dead, and the claim
 * is moved away with the file in it: a process that was only asleep finds nothing to rename, and begins anew. So the name is
 * given once, however late anybody wakes up.
 */
import { createHash } from "node:crypto"
import { lstat, mkdir, rename, rm, rmdir } from "node:fs/promises"
import { basename, dirname, join } from "node:path"

import { pause } from "./pause.ts"

/** How long nobody can be between the two steps, ms. */
const claimEnds = 10_000

/**
 * `false` when something has the name. `lost`: others took this process for dead, and the file is gone. `newName` gives names
 * in the folder that nobody uses, such as whose leftovers go by themselves.
 */
export async function renameOnce(file: string, path: string, newName: () => string): Promise<boolean | "lost"> {
  const own = newName()
  await mkdir(own, { mode: 0o700 })
  try {
    await rename(file, join(own, basename(file)))
    const claim = claimOf(path)
    await take(claim, own, newName)
    return await nameFrom(claim, basename(file), path)
  } finally {
    await rm(own, { recursive: true, force: true })
  }
}

/** One for all spellings that a file system may take for one name. */
function claimOf(path: string): string {
  const name = basename(path).normalize().toLowerCase()
  return join(dirname(path), `.weighlock-${createHash("sha256").update(name).digest("hex").slice(0, 16)}.tmp`)
}

async function take(claim: string, own: string, newName: () => string): Promise<void> {
  for (let [owner, since] = ["", performance.now()]; !(await isMoved(own, claim)); await pause(20)) {
    const now = performance.now()
    const found = await identity(claim)
    if (found !== owner) [owner, since] = [found, now]
    else if (now - since > claimEnds) await moveAway(claim, owner, newName())
  }
}

/** `false` while somebody has the claim. One that is empty was left by somebody who is done. */
async function isMoved(own: string, claim: string): Promise<boolean> {
  try {
    await rename(own, claim)
    return true
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException
    if (code === "ENOTEMPTY" || code === "EEXIST") return false
    if (process.platform === "win32" && (await identity(claim)) !== "") return false // EPERM, even if it is empty
    throw error
  }
}

/** Of several that do so one moves it. Should it be another's claim by now, that one finds its file gone, and begins anew. */
async function moveAway(claim: string, owner: string, aside: string): Promise<void> {
  if ((await identity(claim)) !== owner) return
  await rename(claim, aside).catch(() => undefined)
  await rm(aside, { recursive: true, force: true }).catch(() => undefined)
}

async function nameFrom(claim: string, name: string, path: string): Promise<boolean | "lost"> {
  const file = join(claim, name)
  try {
    if (await exists(path)) return false
    await rename(file, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "lost"
    throw error
  } finally {
    await rm(file, { force: true })
    await rmdir(claim).catch(() => undefined) // another's by now, with something in it
  }
}

/** What cannot be looked at may be there. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false
    throw error
  }
}

/** "" for what is not there. */
async function identity(path: string): Promise<string> {
  const found = await lstat(path).catch(() => null)
  return found === null ? "" : `${found.dev} ${found.ino} ${found.mtimeMs}`
}
