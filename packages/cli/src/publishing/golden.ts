/**
 * `--golden FILE`: a question, and the answer that this model gives to it here, become part of the model. Whoever loads it
 * asks the same question first.
 *
 *     golden/input.json     the bytes of FILE, a predict body
 *     golden/output.json    {"predictions":[[0.5,0.5]],"tolerance":0.0001}
 */
import { lstat, readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Context } from "../context.ts"
import { CliError, usage } from "../errors.ts"
import { createFile, makeFolder, readInput } from "../files.ts"
import { inputName, outputName } from "./golden-names.ts"
import type { Taken } from "./listing.ts"
import { readModel } from "./load-check.ts"

export interface Golden {
  /** Who answered. */
  readonly engine: string
  readonly files: readonly GoldenFile[]
}
export interface GoldenFile {
  readonly name: string
  readonly bytes: Uint8Array
}

/** Throws USAGE, CONFLICT, MODEL_REFUSED, INPUT_INVALID or OUTPUT_INVALID. Writes nothing. */
export async function answerQuestion(context: Context, root: string, file: string, taken: Taken): Promise<Golden> {
  if (!(await lstat(root)).isDirectory()) throw usage("--golden needs a model that is a folder", "put the file in one")
  const input = await readInput(context.path(file))
  await requireFree(root, inputName, input)
  const { answerGolden } = await import("@weighlock/runtime")
  const { engine, output } = await answerGolden(await readModel(taken), input, { signal: context.io.signal })
  await requireFree(root, outputName, output)
  return {
    engine,
    files: [
      { name: inputName, bytes: input },
      { name: outputName, bytes: output },
    ],
  }
}

/** Writes below `root` what is not there yet. Throws CONFLICT or STATE_UNUSABLE. */
export async function writeGolden(root: string, { files }: Golden): Promise<void> {
  await makeFolder(join(root, "golden"))
  for (const { name, bytes } of files) if (!(await isThere(root, name))) await createFile(join(root, name), bytes)
}

/** What is there already must be these very bytes, in a folder and a file and not behind a link. */
async function requireFree(root: string, name: string, bytes: Uint8Array): Promise<void> {
  const folder = await lstat(join(root, "golden")).catch(() => null)
  if (folder !== null && !folder.isDirectory()) throw conflict("golden", root)
  if (!(await isThere(root, name))) return
  const found = await lstat(join(root, name))
  if (!found.isFile() || !(await readFile(join(root, name))).equals(bytes)) throw conflict(name, root)
}

async function isThere(root: string, name: string): Promise<boolean> {
  return (await lstat(join(root, name)).catch(() => null)) !== null
}

function conflict(name: string, root: string): CliError {
  return new CliError("CONFLICT", `${join(root, name)} is there already, and is something else`, {
    hint: "it is never overwritten: publish without --golden to keep it, or move it away",
  })
}
