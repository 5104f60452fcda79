/** Small files the CLI reads and writes for the user: written whole or not at all, and never over what is there unasked. */
import { readFile, stat } from "node:fs/promises"
import * as durable from "@weighlock/node"
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

/** Makes `path`, durably. Throws CONFLICT when it exists. */
export async function createFile(path: string, content: Uint8Array | string, mode = 0o644): Promise<void> {
  if (await createStateFile(path, content, mode)) return
  throw new CliError("CONFLICT", `${path} is there already`, {
    hint: "it is never overwritten; move it away, or name another place",
  })
}

/** Replaces the content of `path` in one step, durably. */
export async function replaceFile(path: string, content: Uint8Array | string, mode = 0o644): Promise<void> {
  await durable.replaceFile(path, content, { mode }).catch(unwritable(path))
}

/** Makes `path`, by default for the owner only, durably; `false` when it exists. */
export async function createStateFile(path: string, content: Uint8Array | string, mode = 0o600): Promise<boolean> {
  return await durable.createFile(path, content, { mode }).catch(unwritable(path))
}

/** Makes a folder for whomever the umask allows, durably. */
export async function makeFolder(path: string, mode = 0o777): Promise<void> {
  await durable.makeFolder(path, mode).catch(unwritable(path))
}

/** Makes a folder of the user's own state, for the owner only, durably. */
export async function makeStateFolder(path: string): Promise<void> {
  await makeFolder(path, 0o700)
}

/** STATE_UNUSABLE, with the system's reason. */
function unwritable(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new CliError("STATE_UNUSABLE", `cannot write ${path}: ${(cause as Error).message}`, { cause })
  }
}
