/** A file that is opened once, and is the same regular file from the first byte to the last. */
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { NodeError } from "../errors.ts"

export type FileErrorCode = "FILE_CHANGED" | "FILE_UNREADABLE"

/** Makes an error of this class the caller's own. */
export type ToError = (error: NodeError<FileErrorCode>) => Error

/** Opens `path` for `use`, which is told its size. Symbolic links are not followed. Throws FILE_UNREADABLE, FILE_CHANGED. */
export async function withRegularFile<T>(
  path: string,
  toError: ToError,
  use: (file: FileHandle, size: number) => Promise<T>,
): Promise<T> {
  const file = await openFile(path, toError)
  try {
    const before = await file.stat({ bigint: true })
    if (!before.isFile()) throw toError(new NodeError("FILE_UNREADABLE", `${path} is not a regular file`))
    const result = await use(file, Number(before.size))
    const after = await file.stat({ bigint: true })
    for (const field of ["ino", "size", "mtimeNs", "ctimeNs"] as const) {
      if (before[field] !== after[field]) throw toError(fileChanged(path))
    }
    return result
  } finally {
    await file.close()
  }
}

async function openFile(path: string, toError: ToError): Promise<FileHandle> {
  try {
    // O_NONBLOCK: opening a FIFO must not hang; regular files ignore it.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown"
    const why = code === "ELOOP" ? "it is a symbolic link" : code
    throw toError(new NodeError("FILE_UNREADABLE", `cannot read ${path}: ${why}`, { cause }))
  }
}

export function fileChanged(what: string): NodeError<"FILE_CHANGED"> {
  return new NodeError("FILE_CHANGED", `${what} changed while it was read`, {
    hint: "stop whatever writes to it, then run the command again",
  })
}
