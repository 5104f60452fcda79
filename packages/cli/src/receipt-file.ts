/** `pull --receipt FILE`: where a bundle may be written. */
import { lstat } from "node:fs/promises"
import { isAbsolute, relative } from "node:path"
import { parseBundle, parseFixedReference, parseStatement } from "@weighlock/manifest"
import { CliError, usage } from "./errors.ts"
import { readInput } from "./files.ts"

/** An older receipt of the same version is replaced, and nothing else. Throws CONFLICT, or USAGE for a place in the folder. */
export async function requireReceiptPlace(path: string, folder: string, reference: string): Promise<void> {
  const inside = relative(folder, path)
  if (inside === "" || (!inside.startsWith("..") && !isAbsolute(inside)))
    throw usage(
      `the receipt ${path} would be inside ${folder}`,
      "the folder holds what was signed and nothing else: name a place beside it",
    )
  if ((await lstat(path).catch(() => null)) === null) return
  if (!(await isReceiptOf(path, reference)))
    throw new CliError("CONFLICT", `${path} is there already, and no receipt of ${reference}`, {
      hint: "it is never overwritten; move it away, or name another place",
    })
}

async function isReceiptOf(path: string, reference: string): Promise<boolean> {
  const { model, selector } = parseFixedReference(reference)
  try {
    const found = parseStatement(parseBundle(await readInput(path)).envelope.payload)
    const isIt = selector.by === "version" ? found.version === selector.version : found.digest === selector.digest
    return found.model === model && isIt
  } catch {
    return false
  }
}
