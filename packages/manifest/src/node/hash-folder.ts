/**
 * From a folder (or one file) to the resources of a manifest: every regular file below it, sorted, whole and part
 * digests from one read. Symbolic links and special files are refused; the OMS defaults (.git …) are left out.
 */
import { lstat, readdir, stat } from "node:fs/promises"
import { basename, join } from "node:path"
import {
  compareUtf8,
  ignoredNames,
  limits,
  ManifestError,
  parsePath,
  partSizeFor,
  requireDistinctPaths,
  type Resource,
} from "../index.ts"
import { HashPool } from "./hash-pool.ts"

export interface FolderOptions {
  /** Relative paths of files or folders to leave out. */
  readonly exclude?: readonly string[]
  readonly onStart?: (totals: { readonly files: number; readonly bytes: number }) => void
  readonly onBytes?: (count: number) => void
  readonly signal?: AbortSignal
  /** `false`: whole-file digests only, for comparing with what a manifest says. */
  readonly parts?: boolean
}

export interface FoundFile {
  readonly name: string
  readonly path: string
  /** Bytes, when it was listed. */
  readonly size: number
}

/** Throws FILE_UNREADABLE, FILE_CHANGED, MANIFEST_INVALID, TOO_LARGE or USAGE. */
export async function hashFolder(root: string, options: FolderOptions = {}): Promise<Resource[]> {
  const files = await listFiles(root, options.exclude ?? [])
  options.onStart?.({ files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) })
  const pool = new HashPool()
  try {
    return await hashAll(pool, files, options)
  } finally {
    await pool.close()
  }
}

async function hashAll(pool: HashPool, files: readonly FoundFile[], options: FolderOptions): Promise<Resource[]> {
  const resources: Resource[] = []
  const queue = [...files.entries()]
  const take = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [at, file] = next
      const { size, digest, parts } = await pool.hashFile(file.path, {
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
  await Promise.all(Array.from({ length: 2 * pool.threads }, take))
  return resources
}

/** The files of a model folder, sorted by UTF-8 bytes. A path to one file is a model of that one file. */
export async function listFiles(root: string, exclude: readonly string[] = []): Promise<FoundFile[]> {
  const start = await stat(root).catch((cause: unknown) => {
    throw new ManifestError("FILE_UNREADABLE", `there is no ${root}`, { cause })
  })
  const found: FoundFile[] = []
  if (start.isFile()) found.push({ name: parsePath(basename(root)), path: root, size: start.size })
  else await walk(root, "", new Set(exclude), found).catch((cause: unknown) => refuse(root, cause))
  if (found.length === 0) throw new ManifestError("MANIFEST_INVALID", `${root} holds no files`)
  const files = found.toSorted((a, b) => compareUtf8(a.name, b.name))
  requireDistinctPaths(files.map(({ name }) => name))
  return files
}

// What the system says about a folder: not there any more, not ours to read, no folder at all, a name that is not UTF-8.
function refuse(root: string, cause: unknown): never {
  if (cause instanceof ManifestError) throw cause
  throw new ManifestError("FILE_UNREADABLE", `cannot read ${root}: ${(cause as Error).message}`, { cause })
}

async function walk(root: string, prefix: string, exclude: ReadonlySet<string>, found: FoundFile[]): Promise<void> {
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    const name = prefix === "" ? entry.name : `${prefix}/${entry.name}`
    if (prefix === "" && ignoredNames.includes(entry.name)) continue
    if (exclude.has(name)) continue
    const path = join(root, name)
    if (entry.isDirectory()) await walk(root, name, exclude, found)
    else if (entry.isFile()) found.push({ name, path, size: (await lstat(path)).size })
    else
      throw new ManifestError(
        "MANIFEST_INVALID",
        `${path} is ${entry.isSymbolicLink() ? "a symbolic link" : "neither a file nor a folder"}`,
        {
          hint: `replace it by the file it means, or leave it out with --exclude ${JSON.stringify(name)}`,
        },
      )
    if (found.length > limits.files)
      throw new ManifestError("TOO_LARGE", `${root} holds more than ${limits.files} files`)
  }
}
