/** A model of one file: its bytes by the entrypoint's name, which stands before whatever is wrong with it. */
import { messageOf, refused, RuntimeError } from "../errors.ts"

/** Throws MODEL_REFUSED. */
export function inFile<T>(
  entrypoint: string,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  read: (bytes: Uint8Array<ArrayBuffer>) => T,
): T {
  const bytes = files.get(entrypoint)
  if (!bytes) throw refused(`entrypoint ${entrypoint} is not a file of the signed manifest`)
  try {
    return read(bytes)
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
    const { hint } = error
    throw refused(`${entrypoint}: ${messageOf(error)}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
  }
}
