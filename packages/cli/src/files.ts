/** Small files the CLI reads and writes for the user: written whole or not at all, and never over what is there unasked. */
import { readFile, stat } from "node:fs/promises"
import * as durable from "@weighlock/node"
import { CliError, usage } from "./errors.ts"

/** Throws NOT_FOUND unless something is there. */
export async function requirePath(path: string): Promise<void> {
  await stat(path).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `there is no ${path}`, { cause })
  })
}

/** Reads a file the user named. Throws NOT_FOUND, or USAGE for what is no file. */
export async function readInput(path: string): Promise<Uint8Array> {
  await requireFile(path)
  return await readFile(path).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `cannot read ${path}: ${reasonOf(cause)}`, { cause })
  })
}

/** Of a small file that the user named. */
const maxInput = 2 ** 28

/**
 * Throws NOT_FOUND, or USAGE unless it is a file, or what the shell gives for one (`<(…)`, /dev/stdin). Opening a FIFO that
 * nobody writes to would never end, not even by a signal.
 */
export async function requireFile(path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `cannot read ${path}: ${reasonOf(cause)}`, { cause })
  })
  if (found.isDirectory()) throw usage(`${path} is a folder, not a file`, "name the file")
  if (found.isFile() ? found.size <= maxInput : isGivenByShell(path)) return
  throw found.isFile()
    ? usage(
        `${path} has ${found.size} bytes, more than the ${maxInput} that such a file may have`,
        "is it the right one?",
      )
    : usage(`${path} is neither a file nor a folder`, "name a regular file")
}

function isGivenByShell(path: string): boolean {
  return /^\/(?:dev\/(?:stdin|fd\/[0-9]+|null)|proc\/self\/fd\/[0-9]+)$/.test(path)
}

function reasonOf(cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException
  return code === "ENOENT" ? "it is not there" : String(code)
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
