/**
 * Where a symbolic link of a model folder may lead: to something in the same folder, or in the same repository of a Hub
 * cache, whose snapshots are folders of links.
 *
 *     models--acme--tiny/snapshots/5f3c…/model.safetensors  ->  ../../blobs/8c1a…
 *
 * What counts is where it leads in the end, not by which links.
 */
import { realpath, stat } from "node:fs/promises"
import { basename, dirname, join, sep } from "node:path"
import { ManifestError } from "../index.ts"

export interface LinkBounds {
  /** The model folder, by its real path. */
  readonly root: string
  /** In a Hub cache: the folder of the repository, `models--acme--tiny`; under another name, that with its contents. */
  readonly repository: string | null
}

export type LinkTarget =
  | { readonly kind: "file"; readonly path: string; readonly size: number }
  | { readonly kind: "folder"; readonly path: string }

export async function linkBounds(model: string): Promise<LinkBounds> {
  const isFile = (await stat(model)).isFile()
  // The link itself is what names a model of one file; where it lies decides where it may lead.
  const root = await realpath(isFile ? dirname(model) : model)
  for (let folder = root; folder !== dirname(folder); folder = dirname(folder)) {
    const repository = dirname(dirname(folder))
    const blobs = join(repository, "blobs")
    if (basename(dirname(folder)) === "snapshots" && (await isFolder(blobs)))
      return { root, repository: /^(?:models|datasets|spaces)--/.test(basename(repository)) ? repository : blobs }
  }
  return { root, repository: null }
}

/** Throws MANIFEST_INVALID: it leads nowhere, round in a circle, or out of the bounds. */
export async function followLink(path: string, name: string, bounds: LinkBounds): Promise<LinkTarget> {
  const target = await realpath(path).catch((cause: unknown) => {
    const isLoop = (cause as NodeJS.ErrnoException).code === "ELOOP"
    throw refused(path, name, isLoop ? "that leads back to itself" : "that leads nowhere")
  })
  const found = await stat(target)
  if (found.isFile() && isInside(target, bounds.root, bounds.repository))
    return { kind: "file", path: target, size: found.size }
  if (found.isDirectory() && isInside(target, bounds.root)) return { kind: "folder", path: target }
  if (!found.isFile() && !found.isDirectory()) throw refused(path, name, "to what is neither a file nor a folder")
  throw refused(
    path,
    name,
    `that leads out of ${bounds.repository === null ? "the folder" : "the repository"}, to ${target}`,
  )
}

function isInside(target: string, ...folders: readonly (string | null)[]): boolean {
  return folders.some((folder) => folder !== null && (target === folder || target.startsWith(folder + sep)))
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

/** An entry of a model folder that is no file; `other` is a further way out. */
export function notTaken(path: string, name: string, what: string, other?: string): ManifestError {
  const hint = `replace it by the file it means, or leave it out with --exclude ${JSON.stringify(name)}`
  return new ManifestError("MANIFEST_INVALID", `${path} ${what}`, {
    hint: other === undefined ? hint : `${hint}, or ${other}`,
  })
}

function refused(path: string, name: string, what: string): ManifestError {
  return notTaken(path, name, `is a symbolic link ${what}`)
}
