/**
 * Everything that is decided about a folder before it is hashed and signed: what is taken, whether the loader takes it, and
 * the golden example that joins it.
 */
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { compareUtf8, type Manifest } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"
import type { Context } from "../context.ts"
import { usage } from "../errors.ts"
import { requireFile } from "../files.ts"
import { answerQuestion, type Golden, writeGolden } from "./golden.ts"
import { goldenNames } from "./golden-names.ts"
import { inspect } from "./inspect.ts"
import type { Taken } from "./listing.ts"
import { checkLoads } from "./load-check.ts"
import { type TakeFlags, takeFolder, takeSigned } from "./take.ts"

export interface PrepareFlags extends TakeFlags {
  readonly loadCheck: boolean
  readonly golden?: string
  readonly dryRun?: boolean
}

export interface Prepared {
  readonly taken: Taken
  /** What the manifest names as left out. */
  readonly exclude: readonly string[]
  /** To be called once the files were read. */
  readonly close: () => Promise<void>
}

/** Throws USAGE, SECRET_FOUND, MODEL_REFUSED, MANIFEST_INVALID, CONFLICT …; then nothing was written. */
export async function prepare(context: Context, folder: string, flags: PrepareFlags): Promise<Prepared> {
  const { exclude, whyNot, ...taken } = await takeFolder(context, folder, flags)
  if (flags.golden === undefined)
    return { taken: await checked(context, taken, flags), exclude, close: () => Promise.resolve() }
  requireGoldenTaken(whyNot)
  // The example that is there may be the one half of what --golden makes whole.
  const plain = await checked(
    context,
    { ...taken, files: taken.files.filter(({ name }) => !goldenNames.has(name)) },
    flags,
  )
  await inspect([await questionFile(context.path(flags.golden))], new Set(), context.io.signal)
  const golden = await answerQuestion(context, folder, flags.golden, plain)
  return flags.dryRun === true
    ? await rehearsed(context, plain, exclude, golden)
    : await joined(context, folder, flags, plain, golden)
}

/** As `prepare`, of what others have signed. */
export async function prepareSigned(
  context: Context,
  folder: string,
  manifest: Manifest,
  flags: PrepareFlags,
): Promise<Taken> {
  if (flags.golden !== undefined) throw usage("--golden would change what others have signed", "publish a new version")
  return await checked(context, await takeSigned(context, folder, manifest, flags), flags)
}

/** Asked before anything is written, so that a rehearsal is refused as the real one is. */
function requireGoldenTaken(whyNot: (name: string) => string | null): void {
  for (const name of goldenNames) {
    const why = whyNot(name)
    if (why !== null)
      throw usage(`${name} would be left out of the model (${why})`, "take it out of .weighlockignore and --exclude")
  }
}

async function checked({ io }: Context, taken: Taken, { loadCheck }: PrepareFlags): Promise<Taken> {
  if (loadCheck) return { ...taken, loadable: await checkLoads(taken, io.signal) }
  return taken.format === "other" ? { ...taken, loadable: false } : taken
}

/** The question is looked into as every file is, before it is written into the model. */
async function questionFile(path: string): Promise<FoundFile> {
  await requireFile(path)
  return { name: basename(path), path, size: (await stat(path)).size }
}

/** The two files are written into the folder, and it is listed again; the model is the one that was checked. */
async function joined(
  context: Context,
  folder: string,
  flags: PrepareFlags,
  { loadable }: Taken,
  golden: Golden,
): Promise<Prepared> {
  await writeGolden(folder, golden)
  const { exclude, whyNot: _, ...taken } = await takeFolder(context, folder, flags)
  context.out.note(becomePublic(golden, "are written into the model and become public with it"))
  return {
    taken: { ...taken, golden: golden.engine, ...(loadable === undefined ? {} : { loadable }) },
    exclude,
    close: () => Promise.resolve(),
  }
}

/** Nothing is written into the folder: the two files are read from elsewhere. */
async function rehearsed(
  context: Context,
  taken: Taken,
  exclude: readonly string[],
  golden: Golden,
): Promise<Prepared> {
  const elsewhere = await mkdtemp(join(tmpdir(), "weighlock-golden-"))
  const added: FoundFile[] = []
  for (const { name, bytes } of golden.files) {
    const path = join(elsewhere, basename(name))
    await writeFile(path, bytes)
    added.push({ name, path, size: bytes.length })
  }
  const files = [...taken.files, ...added].toSorted((a, b) => compareUtf8(a.name, b.name))
  context.out.note(becomePublic(golden, "would be written into the model and become public with it"))
  return {
    taken: { ...taken, files, golden: golden.engine },
    exclude,
    close: async () => rm(elsewhere, { recursive: true, force: true }),
  }
}

function becomePublic({ engine, files }: Golden, what: string): string {
  return `${files.map(({ name }) => name).join(" and ")} (answered by ${engine}) ${what}`
}
