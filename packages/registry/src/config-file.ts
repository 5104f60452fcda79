/** A file that the configuration names. */
import { readFile } from "node:fs/promises"

import { RegistryError } from "./errors.ts"

/** Throws USAGE. `what` it is, in a sentence. */
export async function readConfigFile(path: string, what: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new RegistryError("USAGE", `the ${what} ${path} can't be read`, { cause })
  }
}
