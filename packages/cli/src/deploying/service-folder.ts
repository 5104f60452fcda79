/** Writes a service's folder: all of it or nothing. */
import { existsSync } from "node:fs"
import { readdir, rm, symlink } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { CliError } from "../errors.ts"
import { makeFolder, replaceFile } from "../files.ts"

/** Throws CONFLICT for what is there and is no empty folder. */
export async function requireEmpty(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return []
    throw new CliError("CONFLICT", `${folder} is not a folder`, {
      hint: "name a folder that is not there, or is empty",
    })
  })
  if (found.length === 0) return
  throw new CliError("CONFLICT", `${folder} is not empty`, { hint: "name a folder that is not there, or is empty" })
}

export async function writeService(folder: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<void> {
  await makeFolder(folder)
  for (const [name, content] of files) await replaceFile(join(folder, name), content, 0o644)
}

/** Lets a folder on this machine find the packages that this very command line uses. */
export async function linkRuntime(folder: string): Promise<void> {
  const link = join(folder, "node_modules", "@weighlock", "runtime")
  await rm(link, { force: true })
  await makeFolder(dirname(link))
  const home = dirname(createRequire(import.meta.url).resolve("@weighlock/runtime/package.json"))
  if (!existsSync(link)) await symlink(home, link, "junction")
}
