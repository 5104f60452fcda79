/** From a folder to what of it is signed: taken, left out, or refused. Nothing is hashed or signed before this returns. */
import { lstat, stat } from "node:fs/promises"
import { join } from "node:path"
import { compareUtf8, type Manifest, parseFormat } from "@weighlock/manifest"
import { listFolder, type Listing } from "@weighlock/manifest/node"
import type { Context } from "../context.ts"
import { detect } from "../detect.ts"
import { usage } from "../errors.ts"
import { ignorePaths } from "./ignore-paths.ts"
import { inspect } from "./inspect.ts"
import { PublisherRules } from "./leave-out.ts"
import type { Taken } from "./listing.ts"

export interface TakeFlags {
  readonly format?: string
  readonly entrypoint?: string
  readonly exclude: readonly string[]
  /** Exact paths that are taken although they look like a secret, or would be left out. */
  readonly include: readonly string[]
  readonly followSymlinks?: boolean
  /** Of a folder that somebody else has signed as it is, nothing is left out but `exclude`. */
  readonly asItIs?: boolean
}

/** Throws USAGE, MANIFEST_INVALID, SECRET_FOUND … ; `exclude` is what the manifest names as left out. */
export async function takeFolder(
  context: Context,
  folder: string,
  flags: TakeFlags,
): Promise<Taken & { readonly exclude: readonly string[]; readonly whyNot: Listing["whyNot"] }> {
  const exclude = await plainPaths(folder, flags.exclude, "exclude")
  const include = await plainPaths(folder, flags.include, "include")
  for (const path of include) if (exclude.includes(path)) throw usage(`${path} is both included and excluded`)
  const listing = await listFolder(folder, {
    exclude,
    followSymlinks: flags.followSymlinks ?? false,
    ...(flags.asItIs === true ? {} : { rules: new PublisherRules(folder, include) }),
  })
  requireKnown(folder, listing, exclude, include)
  const ignored = ignorePaths(listing)
  const format = flags.format === undefined ? undefined : parseFormat(flags.format)
  const warnings = await inspect(listing.files, new Set(include), context.io.signal)
  const entrypoint = flags.entrypoint === undefined ? undefined : plainPath(flags.entrypoint)
  const detected = await detect(listing.files, { format, entrypoint })
  return { ...listing, ...detected, warnings, exclude: ignored }
}

/** What another publisher has signed, in a folder that holds exactly that. */
export async function takeSigned(
  context: Context,
  folder: string,
  manifest: Manifest,
  { include, followSymlinks = false }: TakeFlags,
): Promise<Taken> {
  const { files, leftOut } = await listFolder(folder, { exclude: manifest.exclude, followSymlinks })
  const warnings = await inspect(files, new Set(include.map(plainPath)), context.io.signal)
  const { format, entrypoint } = manifest
  return {
    files,
    leftOut: leftOut.map(({ path, why }) => ({ path, why: why === "--exclude" ? "left out by who signed it" : why })),
    warnings,
    format,
    ...(entrypoint === undefined ? {} : { entrypoint }),
  }
}

async function plainPaths(folder: string, given: readonly string[], what: "exclude" | "include"): Promise<string[]> {
  const paths = [...new Set(given.map(plainPath))].toSorted(compareUtf8)
  const isFile = (await stat(folder)).isFile()
  for (const path of paths) {
    const found = await lstat(isFile ? join(folder, "..", path) : join(folder, path)).catch(() => null)
    if (found === null)
      throw usage(`there is no ${path} to ${what} in ${folder}`, "write it as it stands in the listing of --dry-run")
    if (what === "include" && found.isDirectory())
      throw usage(`--include takes the path of one file, and ${path} is a folder`, "name each file")
  }
  return paths
}

/** As shells complete it: `./sub/` means `sub`. */
export function plainPath(text: string): string {
  return text.replace(/^(?:\.\/+)+/, "").replace(/\/+$/, "")
}

/** Both kinds of flag name paths as they stand in a manifest; what means nothing is not passed over. */
function requireKnown(
  folder: string,
  { files, leftOut }: Listing,
  exclude: readonly string[],
  include: readonly string[],
): void {
  const left = new Set(leftOut.map(({ path }) => path))
  const taken = new Set(files.map(({ name }) => name))
  const isLeft = (path: string): boolean =>
    left.has(path) || path.split("/").some((_, at, all) => left.has(all.slice(0, at).join("/")))
  for (const path of exclude)
    if (!isLeft(path)) throw usage(`${path} is not a path below ${folder}`, "write it as it stands in the listing")
  for (const path of include)
    if (!taken.has(path))
      throw usage(`${path} is not a file below ${folder} that can be taken`, "write it as it stands in the listing")
}
