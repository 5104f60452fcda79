/** From a reference to verified bytes, in memory for a loader or in a folder for whoever needs files. */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join, resolve as resolvePath } from "node:path"
import { parseFixedReference, type Resource, type VerifiedManifest } from "@weighlock/manifest"
import { type HashOptions, HashPool } from "@weighlock/manifest/node"
import { downloadMissing, type Fetching, forEach } from "./download.ts"
import { ClientError, diskError } from "./errors.ts"
import { isLongDead, startHeartbeat } from "./heartbeat.ts"
import { mismatch, writeAll } from "./receive.ts"
import { resolve } from "./resolve.ts"
import { type ClientOptions, type Session, withSession } from "./session.ts"

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
    await downloadMissing(session, manifest.resources)
    const files = new Map<string, VerifiedFile>()
    const progress = verifying(session, manifest)
    for (const resource of manifest.resources)
      files.set(resource.name, await readIntoMemory(session, resource, progress))
    return { manifest, files } as unknown as VerifiedFiles
  })
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
      const progress = verifying(session, manifest)
      const folders = foldersOf(temporary, manifest.resources)
      for (const path of folders) await mkdir(path, { recursive: true })
      const named = Map.groupBy(manifest.resources, ({ digest }) => digest)
      await downloadMissing(session, manifest.resources, async (digest) => {
        for (const resource of named.get(digest) ?? []) await readIntoFolder(session, resource, temporary, progress)
      })
      await syncAll([...manifest.resources.map(({ name }) => pathBelow(temporary, name)), ...folders])
      await rename(temporary, target)
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

/** They hash what arrives and what comes out of the cache. Each costs 15 MB, and one keeps up with most disks. */
const threads = 1
/** Bytes that are written, and hashed meanwhile, at a time: larger ones take more memory and no less time. */
const block = 2 ** 18
/** Of those at once: each of eight downloads fills one, the rest are being hashed and written. */
const blocks = 24
/** Of a file, bytes. */
const large = 2 ** 23

async function withHashes<T>(
  options: ClientOptions,
  host: string | undefined,
  use: (session: Fetching) => Promise<T>,
): Promise<T> {
  return await withSession(options, host, async (session) => {
    const hashes = new HashPool(threads, blocks, block)
    try {
      return await use({ ...session, hashes, onProgress: downloadsFirst(session.onProgress) })
    } finally {
      await hashes.close()
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
    await mkdir(dirname(target), { recursive: true })
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
  progress: (bytes: number) => void,
): Promise<VerifiedFile> {
  const { name, size, digest } = resource
  const bytes = new Uint8Array(size)
  await readVerified(session, resource, { keep: (block, offset) => bytes.set(block, offset), onBytes: progress })
  return { name, size, digest, bytes } as VerifiedFile
}

async function readIntoFolder(
  session: Fetching,
  resource: Resource,
  folder: string,
  progress: (bytes: number) => void,
): Promise<void> {
  const file = await open(pathBelow(folder, resource.name), "wx")
  try {
    await readVerified(session, resource, {
      keep: (block, offset) => writeAll(file, block, offset),
      onBytes: progress,
    })
    // The disk has something to do while others still arrive.
    if (resource.size > large) await file.datasync()
  } finally {
    await file.close()
  }
}

function pathBelow(folder: string, name: string): string {
  return join(folder, ...name.split("/"))
}

function foldersOf(folder: string, resources: readonly Resource[]): string[] {
  return [...new Set([folder, ...resources.map(({ name }) => dirname(pathBelow(folder, name)))])]
}

/** Together and last: the file system writes many files in one go, where one by one each would wait for the disk. */
async function syncAll(paths: readonly string[]): Promise<void> {
  await forEach(paths, 16, async (path) => {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  })
}

/** Others may prune the cache between a download and its reading: that often it is fetched again. */
const mostPruned = 4

/** A cache entry that does not match is fetched once more; a second mismatch is what was signed contradicting itself. */
async function readVerified(
  session: Fetching,
  resource: Resource,
  options: Pick<HashOptions, "keep" | "onBytes">,
): Promise<void> {
  for (let [wrong, absent] = [0, 0]; ;) {
    const found = await session.cache.read(session.hashes, resource, options)
    if (found === "whole") return
    if (found === "wrong" && ++wrong > 1)
      throw mismatch(`${resource.name}: the parts match what was signed, the whole does not`)
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
