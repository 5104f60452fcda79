/** From a reference to verified bytes, in memory for a loader or in a folder for whoever needs files. */
import { randomBytes } from "node:crypto"
import { chmod, type FileHandle, link, lstat, mkdir, readdir, rm, stat, unlink } from "node:fs/promises"
import { basename, dirname, join, resolve as resolvePath } from "node:path"
import { parseFixedReference, type Resource, type VerifiedManifest } from "@weighlock/manifest"
import { modelHasher } from "@weighlock/manifest/node"
import { forEach, makeFolder, moveDurably, syncFile, syncFolder } from "@weighlock/node"
import { downloadMissing, type Fetching, type Fresh } from "./download.ts"
import { ClientError, diskError } from "./errors.ts"
import { isLongDead, startHeartbeat } from "./heartbeat.ts"
import { mismatch } from "./receive.ts"
import { resolve } from "./resolve.ts"
import { Cache } from "./cache.ts"
import { type ClientOptions, defaultCache, type Session, withSession } from "./session.ts"

declare const verifiedFile: unique symbol
declare const verifiedFiles: unique symbol

/** Bytes in memory that match what was signed. Made only here. */
export interface VerifiedFile {
  readonly [verifiedFile]: true
  readonly name: string
  readonly size: number
  /** SHA-256, hex. */
  readonly digest: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** A whole model, verified: the only thing a loader takes. Files that the manifest does not list do not exist. */
export interface VerifiedFiles {
  readonly [verifiedFiles]: true
  readonly manifest: VerifiedManifest
  /** By resource name. */
  readonly files: ReadonlyMap<string, VerifiedFile>
}

/** Nothing is returned unless signature, name and every byte hold. Throws the codes of docs/errors.md. */
export async function fetchModel(reference: string, options: ClientOptions): Promise<VerifiedFiles> {
  const wanted = parseFixedReference(reference)
  return await withHashes(options, wanted.host, async (session) => {
    const { manifest } = await resolve(session, wanted)
    return await gather(session, manifest)
  })
}

/**
 * The files of a manifest that was verified before: from the cache, without a word to the registry, where they all are there
 * and right; else as `fetchModel`. Nothing is returned unless every byte holds.
 */
export async function fetchFiles(manifest: VerifiedManifest, options: ClientOptions): Promise<VerifiedFiles> {
  const cached = await readCached(manifest, options)
  return cached ?? (await withHashes(options, manifest.registry, (session) => gather(session, manifest)))
}

async function readCached(manifest: VerifiedManifest, options: ClientOptions): Promise<VerifiedFiles | null> {
  const cache = await Cache.open(options.cache ?? defaultCache())
  const hasher = modelHasher(threads)
  try {
    const files = new Map<string, VerifiedFile>()
    for (const resource of manifest.resources) {
      options.signal?.throwIfAborted()
      const bytes = await cache.load(hasher, resource, { signal: options.signal })
      if (bytes === "absent" || bytes === "wrong") return null
      const { name, size, digest } = resource
      files.set(name, { name, size, digest, bytes } as VerifiedFile)
    }
    return { manifest, files } as unknown as VerifiedFiles
  } finally {
    await hasher.close()
  }
}

async function gather(session: Fetching, manifest: VerifiedManifest): Promise<VerifiedFiles> {
  const files = new Map<string, VerifiedFile>()
  const onBytes = verifying(session, manifest)
  const named = byDigest(manifest)
  const have = async (resource: Resource, fresh: Fresh | null): Promise<void> => {
    const bytes = fresh?.bytes ?? (await readIntoMemory(session, resource, onBytes))
    for (const [at, { name, size, digest }] of named(resource).entries()) {
      files.set(name, { name, size, digest, bytes: at === 0 ? bytes : bytes.slice() } as VerifiedFile)
      if (at > 0 || (fresh?.bytes ?? null) !== null) onBytes(size)
    }
  }
  await downloadMissing(session, manifest.resources, { keep: true, have })
  const inOrder = manifest.resources.flatMap(({ name }) => files.get(name) ?? [])
  return { manifest, files: new Map(inOrder.map((file) => [file.name, file])) } as unknown as VerifiedFiles
}

/** Writes the verified files, and nothing else, to `folder`, which must be absent or empty (TARGET_EXISTS). */
export async function pullModel(reference: string, folder: string, options: ClientOptions): Promise<VerifiedManifest> {
  const wanted = parseFixedReference(reference)
  const target = resolvePath(folder)
  await requireFree(target)
  await removeSiblings(target)
  return await withHashes(options, wanted.host, async (session) => {
    const { manifest } = await resolve(session, wanted)
    const temporary = await makeSibling(target)
    const stopHeartbeat = startHeartbeat(
      temporary,
      () => new Date(),
      () => undefined,
    )
    try {
      const folders = foldersOf(temporary, manifest.resources)
      for (const path of folders) await mkdir(path, { recursive: true })
      const have = await intoFolder(session, manifest, temporary)
      await downloadMissing(session, manifest.resources, { sync: true, have })
      await syncAll(
        manifest.resources.map(({ name }) => pathBelow(temporary, name)),
        folders,
      )
      await moveDurably(temporary, target)
    } catch (error) {
      await rm(temporary, { recursive: true, force: true })
      throw diskError(error, "TARGET_UNUSABLE", target)
    } finally {
      stopHeartbeat()
    }
    await removeSiblings(target)
    return manifest
  })
}

/** They read and hash files. Each costs 15 MB, and begins when there is something to hash that the others have no time for. */
const threads = 2

async function withHashes<T>(
  options: ClientOptions,
  host: string | undefined,
  use: (session: Fetching) => Promise<T>,
): Promise<T> {
  return await withSession(options, host, async (session) => {
    const hasher = modelHasher(threads)
    try {
      return await use({ ...session, hasher, onProgress: downloadsFirst(session.onProgress) })
    } finally {
      await hasher.close()
    }
  })
}

/** Who looks on sees one phase after the other: what is verified while others arrive is told once all are there. */
function downloadsFirst(onProgress: Session["onProgress"]): Session["onProgress"] {
  let arriving = false
  return (progress) => {
    if (progress.phase === "download") arriving = progress.done < progress.total
    if (progress.phase === "download" || !arriving) onProgress(progress)
  }
}

/** Of a folder that a pull fills and then gives its name. */
const siblingSuffix = ".pull"

async function makeSibling(target: string): Promise<string> {
  try {
    await makeFolder(dirname(target), 0o777)
    // Not mkdtemp: its 0700 would stay with the pulled folder.
    const sibling = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}${siblingSuffix}`)
    await mkdir(sibling)
    return sibling
  } catch (error) {
    throw diskError(error, "TARGET_UNUSABLE", target)
  }
}

/** Those that pulls to this target left when they were killed. Everything in them is in the cache too. */
async function removeSiblings(target: string): Promise<void> {
  const folder = dirname(target)
  for (const name of await readdir(folder).catch(() => [])) {
    const middle = name.slice(basename(target).length + 2, -siblingSuffix.length)
    if (name !== `.${basename(target)}.${middle}${siblingSuffix}` || !/^[0-9a-f]{12}$/.test(middle)) continue
    const found = await lstat(join(folder, name)).catch(() => null)
    if (found?.isDirectory() !== true || !isLongDead(found)) continue
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined)
  }
}

async function requireFree(target: string): Promise<void> {
  const found = await stat(target).catch(() => null)
  if (found === null || (found.isDirectory() && (await readdir(target)).length === 0)) return
  throw new ClientError("TARGET_EXISTS", `${target} is there already and not an empty folder`, {
    hint: "name a new folder with -o",
  })
}

async function readIntoMemory(
  session: Fetching,
  resource: Resource,
  onBytes: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  return await fromCache(session, resource, () => session.cache.load(session.hasher, resource, { onBytes }))
}

/**
 * What puts the files in place. A fresh one that nobody else can write to gets a second name and is not written again; the
 * cache has to doubt its entries anyway, so it does no harm that somebody may now change one through the folder. Others are
 * copied, so no two folders share a file.
 */
async function intoFolder(
  session: Fetching,
  manifest: VerifiedManifest,
  folder: string,
): Promise<(resource: Resource, fresh: Fresh | null) => Promise<void>> {
  const onBytes = verifying(session, manifest)
  const named = byDigest(manifest)
  const mode = (await stat(folder)).mode & 0o666 // what a file that is made here would have
  return async (resource, fresh) => {
    const entry = session.cache.pathOf(resource.digest)
    for (const [at, each] of named(resource).entries()) {
      const path = pathBelow(folder, each.name)
      if (at === 0 && fresh?.isOurs === true && (await linked(fresh.file, entry, path))) onBytes(each.size)
      else await fromCache(session, each, () => session.cache.copy(session.hasher, each, path, { onBytes }))
      await chmod(path, mode)
    }
  }
}

/** `false` where there are no hard links, or when the entry is another file by now. */
async function linked(file: FileHandle, entry: string, path: string): Promise<boolean> {
  try {
    await link(entry, path)
  } catch {
    return false
  }
  const [ours, found] = [await file.stat({ bigint: true }), await lstat(path, { bigint: true })]
  if (ours.ino === found.ino && ours.dev === found.dev) return true
  await unlink(path)
  return false
}

function byDigest({ resources }: VerifiedManifest): (resource: Resource) => readonly Resource[] {
  const named = Map.groupBy(resources, ({ digest }) => digest)
  return ({ digest }) => named.get(digest) ?? []
}

function pathBelow(folder: string, name: string): string {
  return join(folder, ...name.split("/"))
}

function foldersOf(folder: string, resources: readonly Resource[]): string[] {
  return [...new Set([folder, ...resources.map(({ name }) => dirname(pathBelow(folder, name)))])]
}

/** Together and last: the file system writes many files in one go, where one by one each would wait for the disk. */
async function syncAll(files: readonly string[], folders: readonly string[]): Promise<void> {
  await forEach(files, 16, syncFile)
  await forEach(folders, 16, syncFolder)
}

/** Others may prune the cache between a download and its reading: that often it is fetched again. */
const mostPruned = 4

/** A cache entry that does not match is fetched once more; a second mismatch is a cache that cannot be used. */
async function fromCache<T>(
  session: Fetching,
  resource: Resource,
  use: () => Promise<T | "absent" | "wrong">,
): Promise<Exclude<T, "absent" | "wrong">> {
  for (let [wrong, absent] = [0, 0]; ;) {
    const found = await use()
    if (found !== "absent" && found !== "wrong") return found as Exclude<T, "absent" | "wrong">
    if (found === "wrong" && ++wrong > 1)
      throw mismatch(`${resource.name}: was right when it came, and is not any more when it is read from the cache`)
    if (found === "absent" && ++absent > mostPruned)
      throw new ClientError("CACHE_UNUSABLE", `${resource.name} disappears from the cache before it can be read`, {
        hint: "something prunes the cache all the time: stop it, or set WEIGHLOCK_CACHE to a folder of its own",
      })
    await downloadMissing(session, [resource])
  }
}

function verifying(session: Session, manifest: VerifiedManifest): (bytes: number) => void {
  const total = manifest.resources.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  return (bytes) => session.onProgress({ phase: "verify", done: (done += bytes), total })
}
