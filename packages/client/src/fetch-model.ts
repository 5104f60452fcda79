/** From a reference to verified bytes, in memory for a loader or in a folder for whoever needs files. */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { lstat, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises"
import { basename, dirname, join, resolve as resolvePath } from "node:path"
import { parseFixedReference, type Resource, type VerifiedManifest } from "@weighlock/manifest"
import { downloadMissing, forEach } from "./download.ts"
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
  return await withSession(options, wanted.host, async (session) => {
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
  return await withSession(options, wanted.host, async (session) => {
    const { manifest } = await resolve(session, wanted)
    await downloadMissing(session, manifest.resources)
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
      await forEach(manifest.resources, 4, (resource) => readIntoFolder(session, resource, temporary, progress))
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
  session: Session,
  resource: Resource,
  progress: (bytes: number) => void,
): Promise<VerifiedFile> {
  const { name, size, digest } = resource
  const bytes = new Uint8Array(size)
  await readVerified(session, resource, (chunk, offset) => {
    bytes.set(chunk, offset)
    progress(chunk.length)
  })
  return { name, size, digest, bytes } as VerifiedFile
}

async function readIntoFolder(
  session: Session,
  resource: Resource,
  folder: string,
  progress: (bytes: number) => void,
): Promise<void> {
  const file = await open(pathBelow(folder, resource.name), "wx")
  try {
    await readVerified(session, resource, async (chunk, offset) => {
      await writeAll(file, chunk, offset)
      progress(chunk.length)
    })
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
  session: Session,
  resource: Resource,
  keep: (chunk: Uint8Array, offset: number) => Promise<void> | void,
): Promise<void> {
  for (let [wrong, absent] = [0, 0]; ;) {
    const found = await session.cache.read(resource, keep)
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
