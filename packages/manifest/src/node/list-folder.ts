/**
 * The files of a model folder, and what of it is left out, before anything is read.
 *
 *     model.json          taken
 *     .git                left out: ignored by every OMS tool, at the top only
 *     sub/__pycache__     left out, whole, if the caller's rules say so
 *     shard.bin -> …      refused, or followed to a file of the same folder (see symlinks.ts)
 */
import { lstat, readdir, stat } from "node:fs/promises"
import { basename, join, sep } from "node:path"
import {
  CodedError,
  compareUtf8,
  ignoredNames,
  limits,
  ManifestError,
  parsePath,
  requireDistinctPaths,
} from "../index.ts"
import { followLink, type LinkBounds, linkBounds, notTaken } from "./symlinks.ts"

/** At the top of a mount point that was pulled into: written last, when all files are there. */
export const pullMarker = ".weighlock-complete"
/** Beside it, while files arrive. */
export const pullStaging = ".weighlock-pulling"

export interface FoundFile {
  readonly name: string
  /** The regular file itself, where a link was followed. */
  readonly path: string
  /** Bytes, when it was listed. */
  readonly size: number
}

export interface LeftOut {
  /** Of a file, or of a folder with all that is below it. */
  readonly path: string
  readonly why: string
}

/** What a publisher leaves out, beside the top-level names of Git. */
export interface LeaveOutRules {
  /** Called before the entries of a folder are asked about ("" is the top), a parent before its children. */
  enter(folder: string, names: ReadonlySet<string>): Promise<void>
  /** Why `path` is left out, or `null`. A folder that is left out is not entered, unless something below it is wanted. */
  why(path: string, isFolder: boolean): string | null
  /** Is this file, or one below this folder, wanted although the folder it is in is left out? */
  wants(path: string): boolean
}

export interface ListOptions {
  /** Relative paths of files or folders to leave out. */
  readonly exclude?: readonly string[]
  readonly rules?: LeaveOutRules
  /** Take the file that a symbolic link means, if it is in the same folder, or in the same repository of a Hub cache. */
  readonly followSymlinks?: boolean
}

export interface Listing {
  /** Sorted by UTF-8 bytes. */
  readonly files: readonly FoundFile[]
  /** Sorted by UTF-8 bytes; none below another. */
  readonly leftOut: readonly LeftOut[]
  /** Why a file of this name is left out, or would be if it were there; `null` where it is taken. */
  readonly whyNot: (name: string) => string | null
}

/** Folders that are entered where links are followed: few that link to one another are endlessly many. */
const maxLinkedFolders = 10_000

/** The files of a model folder, sorted by UTF-8 bytes. A path to one file is a model of that one file. */
export async function listFiles(root: string, options: ListOptions | readonly string[] = []): Promise<FoundFile[]> {
  const { files } = await listFolder(root, isList(options) ? { exclude: options } : options)
  return [...files]
}

/** As `listFiles`, with what was left out. Throws FILE_UNREADABLE, MANIFEST_INVALID or TOO_LARGE. */
export async function listFolder(root: string, options: ListOptions = {}): Promise<Listing> {
  const start = await stat(root).catch((cause: unknown) => {
    throw new ManifestError("FILE_UNREADABLE", `there is no ${root}`, { cause })
  })
  const walk = new Walk(root, options, options.followSymlinks === true ? await linkBounds(root) : null)
  await (start.isFile() ? walk.takeOne() : walk.takeAll()).catch((cause: unknown) => refuse(root, cause))
  if (walk.files.length === 0)
    throw new ManifestError(
      "MANIFEST_INVALID",
      `${root} holds no files${walk.leftOut.length === 0 ? "" : " that are not left out"}`,
    )
  walk.requireNoOtherNames()
  const files = walk.files.toSorted((a, b) => compareUtf8(a.name, b.name))
  for (const { name } of files) requireName(name)
  requireDistinctPaths(files.map(({ name }) => name))
  const leftOut = walk.leftOut.toSorted((a, b) => compareUtf8(a.path, b.path))
  return { files, leftOut, whyNot: (name) => walk.whyNot(name) }
}

class Walk {
  readonly files: FoundFile[] = []
  readonly leftOut: LeftOut[] = []
  readonly #root: string
  readonly #bounds: LinkBounds | null
  readonly #excluded: ReadonlySet<string>
  readonly #rules: LeaveOutRules | undefined
  #folders = 0

  constructor(root: string, { exclude = [], rules }: ListOptions, bounds: LinkBounds | null) {
    this.#root = root
    this.#bounds = bounds
    this.#excluded = new Set(exclude)
    this.#rules = rules
  }

  async takeOne(): Promise<void> {
    const name = requireName(basename(this.#root))
    const isLink = this.#bounds !== null && (await lstat(this.#root)).isSymbolicLink()
    const path = isLink ? (await followLink(this.#root, name, this.#bounds)).path : this.#root
    this.files.push({ name, path, size: (await stat(path)).size })
  }

  async takeAll(): Promise<void> {
    await this.#enter({ path: this.#root, prefix: "", above: this.#bounds === null ? [] : [this.#bounds.root] })
  }

  whyNot(name: string): string | null {
    const folders = name.split("/").map((_, at, all) => all.slice(0, at).join("/"))
    const left = folders.slice(1).reduce<string | null>((above, folder) => this.#whyNot(folder, true, above), null)
    return this.#whyNot(name, false, left)
  }

  /** What a publisher leaves out must not be taken by way of a link: `settings.txt -> .git/config`. */
  requireNoOtherNames(): void {
    if (this.#bounds === null || this.#rules === undefined) return
    const top = this.#bounds.root + sep
    for (const { name, path } of this.files) {
      const own = path.startsWith(top) ? path.slice(top.length).split(sep).join("/") : name
      if (own === name || this.#rules.wants(name)) continue
      const why = this.whyNot(own)
      if (why !== null)
        throw notTaken(
          join(this.#root, name),
          name,
          `is by a symbolic link ${own}, which is left out (${why})`,
          "take it with --include",
        )
    }
  }

  /** `left` says why all of it is left out but for what is wanted. */
  async #enter(folder: Folder, left: string | null = null): Promise<void> {
    if (this.#bounds !== null && ++this.#folders > maxLinkedFolders)
      throw new ManifestError("TOO_LARGE", `with its links ${this.#root} has more than ${maxLinkedFolders} folders`)
    const entries = await readdir(folder.path, { withFileTypes: true })
    if (entries.some(({ name }) => name.includes("\ufffd"))) await requireUtf8(folder.path)
    await this.#rules?.enter(folder.prefix.slice(0, -1), new Set(entries.map(({ name }) => name)))
    for (const entry of entries) {
      const name = folder.prefix + entry.name
      const why = this.#whyNot(name, entry.isDirectory(), left)
      const enters = why === null || (entry.isDirectory() && this.#rules?.wants(name) === true)
      if (enters) await this.#take({ ...folder, name, path: join(folder.path, entry.name), entry, why })
      else this.leftOut.push({ path: name, why })
    }
  }

  #whyNot(name: string, isFolder: boolean, left: string | null): string | null {
    if (ignoredNames.includes(name)) return "Git's own, never part of a model"
    if (name === pullMarker || name === pullStaging) return "written by weighlock pull"
    if (this.#excluded.has(name)) return "--exclude"
    const why = this.#rules?.why(name, isFolder) ?? null
    return why ?? (!isFolder && this.#rules?.wants(name) === true ? null : left)
  }

  async #take({ name, path, entry, above, why }: Entry): Promise<void> {
    if (entry.isDirectory()) await this.#enter({ path, prefix: `${name}/`, above: [...above, path] }, why)
    else if (entry.isFile()) this.#found({ name, path, size: (await lstat(path)).size })
    else if (!entry.isSymbolicLink()) throw notTaken(path, name, "is neither a file nor a folder")
    else if (this.#bounds === null)
      throw notTaken(path, name, "is a symbolic link", "follow links within the folder with --follow-symlinks")
    else {
      const target = await followLink(path, name, this.#bounds)
      if (target.kind === "file") this.#found({ name, path: target.path, size: target.size })
      else if (above.includes(target.path)) throw notTaken(path, name, "is a symbolic link to a folder above it")
      else await this.#enter({ path: target.path, prefix: `${name}/`, above: [...above, target.path] }, why)
    }
  }

  #found(file: FoundFile): void {
    this.files.push(file)
    if (this.files.length > limits.files)
      throw new ManifestError("TOO_LARGE", `${this.#root} holds more than ${limits.files} files`)
  }
}

/** Throws MANIFEST_INVALID, with what to rename it to. */
function requireName(name: string): string {
  try {
    return parsePath(name)
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new ManifestError(cause.code, cause.message, { cause, hint: renaming(name) })
  }
}

function renaming(name: string): string {
  if (name.length > limits.path) return "give it a shorter name, or leave it out with --exclude"
  const composed = name.normalize("NFC")
  return composed === name
    ? "rename it, or leave it out with --exclude"
    : `its letters are spelled with combining marks, as macOS did: rename it to ${JSON.stringify(composed)}, or all of a folder at once with: convmv -f utf8 -t utf8 --nfc --notest -r FOLDER`
}

/** Node hands out names that are not UTF-8 with U+FFFD in them, under which there is no file. Throws MANIFEST_INVALID. */
async function requireUtf8(folder: string): Promise<void> {
  for (const raw of await readdir(folder, { encoding: "buffer" })) {
    if (Buffer.from(raw.toString("utf8")).equals(raw)) continue
    const escaped = raw
      .toString("latin1")
      .replaceAll(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`)
    throw new ManifestError("MANIFEST_INVALID", `a name in ${folder} is not UTF-8: ${escaped}`, {
      hint: `rename it: mv ${folder}/$'${escaped.replaceAll("'", String.raw`\'`)}' …, or all of a folder at once, if its names are Latin-1, with: convmv -f latin1 -t utf8 --notest -r FOLDER`,
    })
  }
}

interface Folder {
  readonly path: string
  /** "" at the top, else the folder's name in the model and a slash. */
  readonly prefix: string
  /** The real paths of the folders we are in, if links are followed. */
  readonly above: readonly string[]
}

interface Entry extends Folder {
  readonly name: string
  readonly entry: { isDirectory(): boolean; isFile(): boolean; isSymbolicLink(): boolean }
  readonly why: string | null
}

// What the system says about a folder: not there any more, not ours to read, no folder at all, a name that is not UTF-8.
function refuse(root: string, cause: unknown): never {
  if (cause instanceof CodedError) throw cause
  throw new ManifestError("FILE_UNREADABLE", `cannot read ${root}: ${(cause as Error).message}`, { cause })
}

function isList(options: ListOptions | readonly string[]): options is readonly string[] {
  return Array.isArray(options)
}
