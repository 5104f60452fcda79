/** Small files the CLI writes for the user: whole or not at all, and never over what is there. */
import { randomBytes } from "node:crypto"
import { link, open, readFile, rename, stat, unlink } from "node:fs/promises"
import { CliError } from "./errors.ts"

/** Throws NOT_FOUND unless something is there. */
export async function requirePath(path: string): Promise<void> {
  await stat(path).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `there is no ${path}`, { cause })
  })
}

/** Reads a file the user named. Throws NOT_FOUND. */
export async function readInput(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `cannot read ${path}`, { cause })
  })
}

/** Creates `path`. Throws CONFLICT when it exists. */
export async function createFile(path: string, content: Uint8Array | string, mode = 0o644): Promise<void> {
  await viaTemporary(path, content, mode, async (temporary) => {
    await link(temporary, path).catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code === "EEXIST")
        throw new CliError("CONFLICT", `${path} is there already`, {
          cause,
          hint: "it is never overwritten; move it away, or name another place",
        })
      throw cause
    })
    await unlink(temporary)
  })
}

/** Replaces the content of `path` in one step. */
export async function replaceFile(path: string, content: Uint8Array | string, mode = 0o644): Promise<void> {
  await viaTemporary(path, content, mode, (temporary) => rename(temporary, path))
}

async function viaTemporary(
  path: string,
  content: Uint8Array | string,
  mode: number,
  place: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`
  try {
    const file = await open(temporary, "wx", mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await place(temporary)
  } catch (cause) {
    await unlink(temporary).catch(() => undefined)
    if (cause instanceof CliError) throw cause
    throw new CliError("STATE_UNUSABLE", `cannot write ${path}: ${(cause as Error).message}`, { cause })
  }
}
