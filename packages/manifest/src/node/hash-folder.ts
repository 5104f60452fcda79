/**
 * From a folder (or one file) to the resources of a manifest: every regular file below it, sorted, whole and part
 * digests from one read. Symbolic links and special files are refused; the OMS defaults (.git …) are left out.
 */
import type { FileHasher } from "@weighlock/node"
import { partSizeFor, type Resource } from "../index.ts"
import { type FoundFile, listFiles, type ListOptions } from "./list-folder.ts"
import { modelHasher } from "./model-hasher.ts"

export interface HashFilesOptions {
  readonly onStart?: (totals: { readonly files: number; readonly bytes: number }) => void
  readonly onBytes?: (count: number) => void
  readonly signal?: AbortSignal
  /** `false`: whole-file digests only, for comparing with what a manifest says. */
  readonly parts?: boolean
}

export interface FolderOptions extends HashFilesOptions, ListOptions {}

/** Throws FILE_UNREADABLE, FILE_CHANGED, MANIFEST_INVALID, TOO_LARGE or USAGE. */
export async function hashFolder(root: string, options: FolderOptions = {}): Promise<Resource[]> {
  return await hashFiles(await listFiles(root, options), options)
}

/** As `hashFolder`, of what was listed before; in that order. Throws FILE_UNREADABLE or FILE_CHANGED. */
export async function hashFiles(files: readonly FoundFile[], options: HashFilesOptions = {}): Promise<Resource[]> {
  options.onStart?.({ files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) })
  const hasher = modelHasher()
  try {
    return await hashAll(hasher, files, options)
  } finally {
    await hasher.close()
  }
}

async function hashAll(
  hasher: FileHasher,
  files: readonly FoundFile[],
  options: HashFilesOptions,
): Promise<Resource[]> {
  const resources: Resource[] = []
  const queue = [...files.entries()]
  const take = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [at, file] = next
      const { size, digest, parts } = await hasher.hashFile(file.path, {
        parts: options.parts ?? true,
        ...(options.onBytes === undefined ? {} : { onBytes: options.onBytes }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
      resources[at] = {
        name: file.name,
        digest,
        size,
        ...(parts === undefined ? {} : { parts: { size: partSizeFor(size), digests: parts } }),
      }
    }
  }
  await Promise.all(Array.from({ length: 2 * hasher.threads }, take))
  return resources
}
