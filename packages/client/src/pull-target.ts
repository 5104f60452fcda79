/**
 * Where a pull puts its files.
 *
 *     model/                           is not there, or empty: it appears whole, with one rename
 *     model/                           holds exactly these files: nothing is done
 *     /models  (a mount point)         can't be replaced, nor can a folder that we may not write beside: files are verified in
 *                                      /models/.weighlock-pulling, then renamed entry by entry, and .weighlock-complete last;
 *                                      who reads earlier may see a part of the files, each of them whole
 *
 * What a killed pull leaves beside the folder the next one removes; what it leaves in a mount point, files of this version
 * and nothing else, the next one takes up.
 */
import { randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { access, lstat, mkdir, readdir, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises"
import { basename, dirname, join, resolve as resolvePath } from "node:path"
import type { Resource, VerifiedManifest } from "@weighlock/manifest"
import { pullMarker, pullStaging } from "@weighlock/manifest/node"
import {
  createFile,
  forEach,
  isTemporary,
  makeFolder,
  moveDurably,
  pause,
  syncFile,
  syncFolder,
  temporaryIn,
} from "@weighlock/node"
import type { Fetching } from "./download.ts"
import { ClientError, codeOf, diskError } from "./errors.ts"
import { deadAfter, isLongDead, startHeartbeat } from "./heartbeat.ts"

/** Ext file systems have it at their top. */
const lostAndFound = "lost+found"

export class PullTarget {
  /** Absolute; what a link leads to. */
  readonly path: string
  readonly #fillsInside: boolean
  /** At its top, but what is no file of anybody's. */
  readonly #names: readonly string[]
  readonly #hasStaging: boolean
  readonly #isMarked: boolean

  private constructor(path: string, entries: readonly string[], fillsInside: boolean) {
    this.path = path
    this.#fillsInside = fillsInside
    this.#names = ownNames(entries, fillsInside)
    this.#hasStaging = entries.includes(pullStaging)
    this.#isMarked = entries.includes(pullMarker)
  }

  get #isHalfFilled(): boolean {
    return this.#hasStaging && !this.#isMarked
  }

  /** Throws TARGET_EXISTS for what is no folder, TARGET_UNUSABLE for what cannot be read. */
  static async open(folder: string): Promise<PullTarget> {
    const target = resolvePath(folder)
    const found = await stat(target).catch(() => null)
    if (found === null) {
      if ((await lstat(target).catch(() => null)) !== null) throw taken(target, "is a link to nothing")
      return new PullTarget(target, [], false)
    }
    if (!found.isDirectory()) throw taken(target, "is there already and not a folder")
    try {
      const path = await realpath(target)
      const entries = await readdir(path)
      return new PullTarget(path, entries, entries.includes(pullStaging) || (await isFixed(path)))
    } catch (error) {
      throw diskError(error, "TARGET_UNUSABLE", target)
    }
  }

  /**
   * Whether it holds these files already, and nothing else; every byte is read. Throws TARGET_EXISTS for a folder that holds
   * anything else. One that a killed pull has left half filled holds some of them, whole and right.
   */
  async holds(session: Fetching, manifest: VerifiedManifest, onBytes: (bytes: number) => void): Promise<boolean> {
    if (this.#names.length === 0) return false
    const resources = new Map(manifest.resources.map((resource) => [resource.name, resource]))
    const files = await this.#list(resources)
    if (files === null || (files.length < resources.size && !this.#isHalfFilled))
      throw taken(this.path, "is there already, and neither empty nor exactly this version")
    const wrong: string[] = []
    await forEach(files, session.hasher.threads, async (resource) => {
      if (!(await isRight(session, pathBelow(this.path, resource.name), resource, onBytes))) wrong.push(resource.name)
    })
    if (wrong.length > 0) throw taken(this.path, `is there already, with another ${wrong.toSorted()[0]}`)
    if (files.length < resources.size) return false
    if (this.#hasStaging || (this.#fillsInside && !this.#isMarked)) await this.#finish(manifest, session.signal)
    return true
  }

  /** `write` makes the files in the folder it is given. Throws TARGET_UNUSABLE, NO_SPACE, and what `write` throws. */
  async fill(
    manifest: VerifiedManifest,
    write: (folder: string) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await removeSiblings(this.path)
    try {
      if (this.#fillsInside) await this.#fillInside(manifest, write, signal)
      else await this.#fillWhole(manifest, write)
    } catch (error) {
      throw diskError(error, "TARGET_UNUSABLE", this.path)
    }
    await removeSiblings(this.path)
  }

  async #fillWhole({ resources }: VerifiedManifest, write: (folder: string) => Promise<void>): Promise<void> {
    const temporary = await makeSibling(this.path)
    await whileAlive(temporary, temporary, async () => {
      await writeDurably(temporary, resources, write)
      await moveDurably(temporary, this.path)
    })
  }

  async #fillInside(
    manifest: VerifiedManifest,
    write: (folder: string) => Promise<void>,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const claim = join(this.path, pullStaging)
    await claimStaging(claim, this.path, signal)
    if (!(await this.#isAsItWas())) {
      await rmdir(claim)
      throw taken(this.path, "was filled by somebody else meanwhile")
    }
    // A name of its own: who was taken for dead and wakes up finds nothing of it any more.
    const staging = join(claim, randomBytes(6).toString("hex"))
    try {
      await mkdir(staging)
      await whileAlive(claim, staging, async () => {
        await writeDurably(staging, manifest.resources, write)
        for (const name of await readdir(staging)) await putInPlace(join(staging, name), join(this.path, name))
        await syncFolder(this.path)
        await mark(staging, this.path, manifest)
      })
      await rmdir(staging)
    } finally {
      await rmdir(claim).catch(() => undefined)
    }
  }

  /** Since it was looked at. Others may have filled it before we had the claim. */
  async #isAsItWas(): Promise<boolean> {
    const now = ownNames(await readdir(this.path), this.#fillsInside)
    return now.toSorted().join("/") === this.#names.toSorted().join("/")
  }

  /** What a killed pull had only to mark, or to clear away. One that is alive does it itself. */
  async #finish(manifest: VerifiedManifest, signal: AbortSignal | undefined): Promise<void> {
    const claim = join(this.path, pullStaging)
    try {
      await claimStaging(claim, this.path, signal)
    } catch (error) {
      // Somebody does it, or we may not: the files are there and right all the same.
      if (["TARGET_EXISTS", "EROFS", "EACCES", "EPERM"].includes(String(codeOf(error)))) return
      throw diskError(error, "TARGET_UNUSABLE", this.path)
    }
    if (!this.#isMarked) await mark(claim, this.path, manifest)
    await rm(claim, { recursive: true, force: true })
  }

  /** The resources whose files are there, of the right size; `null` when there is anything else. */
  async #list(resources: ReadonlyMap<string, Resource>): Promise<Resource[] | null> {
    const folders = new Set([...resources.keys()].flatMap(foldersAbove))
    const found: Resource[] = []
    const waiting = this.#names.filter((name) => name !== pullMarker || resources.has(name))
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const path = pathBelow(this.path, name)
      const at = await lstat(path).catch(() => null)
      const resource = resources.get(name)
      if (at?.isDirectory() === true && folders.has(name)) {
        for (const below of await readdir(path)) waiting.push(`${name}/${below}`)
      } else if (at?.isFile() === true && resource?.size === at.size) found.push(resource)
      else return null
    }
    return found
  }
}

/** Entries but for those that are nobody's: our own, and what a file system puts at its top. */
function ownNames(entries: readonly string[], fillsInside: boolean): readonly string[] {
  const isNobodys = (name: string): boolean =>
    name === pullStaging || (fillsInside && (name === lostAndFound || isTemporary(name)))
  return entries.filter((name) => !isNobodys(name))
}

function foldersAbove(name: string): string[] {
  const segments = name.split("/")
  return segments.slice(1).map((_, at) => segments.slice(0, at + 1).join("/"))
}

export function pathBelow(folder: string, name: string): string {
  return join(folder, ...name.split("/"))
}

function taken(path: string, why: string): ClientError {
  return new ClientError("TARGET_EXISTS", `${path} ${why}`, { hint: "name a new folder with -o" })
}

/** Removes `own` when `task` fails; the heart is that of `alive`. */
async function whileAlive(alive: string, own: string, task: () => Promise<void>): Promise<void> {
  const stopHeartbeat = startHeartbeat(
    alive,
    () => new Date(),
    () => undefined,
  )
  try {
    await task()
  } catch (error) {
    await rm(own, { recursive: true, force: true })
    throw error
  } finally {
    stopHeartbeat()
  }
}

async function writeDurably(
  folder: string,
  resources: readonly Resource[],
  write: (folder: string) => Promise<void>,
): Promise<void> {
  const folders = [...new Set([folder, ...resources.map(({ name }) => dirname(pathBelow(folder, name)))])]
  for (const path of folders) await mkdir(path, { recursive: true })
  await write(folder)
  // Together and last: the file system writes many files in one go, where one by one each would wait for the disk.
  await forEach(
    resources.map(({ name }) => pathBelow(folder, name)),
    16,
    syncFile,
  )
  await forEach(folders, 16, syncFolder)
}

async function isRight(
  { hasher, signal }: Fetching,
  path: string,
  { digest, size }: Resource,
  onBytes: (bytes: number) => void,
): Promise<boolean> {
  const found = await hasher.hashFile(path, { onBytes, ...(signal === undefined ? {} : { signal }) })
  return found.digest === digest && found.size === size
}

/** Of a folder that a pull fills and then gives its name. */
const siblingSuffix = ".pull"

async function makeSibling(target: string): Promise<string> {
  await makeFolder(dirname(target), 0o777)
  // Not mkdtemp: its 0700 would stay with the pulled folder.
  const sibling = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}${siblingSuffix}`)
  await mkdir(sibling)
  return sibling
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

/** No other folder can take its place: something is mounted there, we may not write beside it, or a shell stands in it. */
async function isFixed(path: string): Promise<boolean> {
  const mayWriteBeside = await access(dirname(path), constants.W_OK).then(
    () => true,
    () => false,
  )
  return !mayWriteBeside || path === process.cwd() || (await isMountPoint(path))
}

/** Another file system than that of the folder above, or one that is mounted there from the same. */
async function isMountPoint(path: string): Promise<boolean> {
  const [own, above] = [await stat(path), await stat(dirname(path))]
  if (own.dev !== above.dev || own.ino === above.ino) return true
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "") // Linux
  return mounts.split("\n").some((line) => unescaped(line.split(" ")[4] ?? "") === path)
}

/** `\040` is a space (proc(5)). */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

/** One pull at a time fills a mount point. What has no heartbeat for some seconds was killed, and makes room. */
async function claimStaging(claim: string, target: string, signal: AbortSignal | undefined): Promise<void> {
  if (await made(claim)) return
  const before = await lstat(claim).catch(() => null)
  await pause(deadAfter, signal)
  const after = await lstat(claim).catch(() => null)
  const isDead = before !== null && after !== null && before.ino === after.ino && before.atimeMs === after.atimeMs
  if (isDead) {
    await rename(claim, temporaryIn(target)).catch(() => undefined)
    for (const name of await readdir(target))
      if (isTemporary(name)) await rm(join(target, name), { recursive: true, force: true })
  }
  if (!(await made(claim))) throw taken(target, "is being filled by another pull")
}

async function made(folder: string): Promise<boolean> {
  return await mkdir(folder).then(
    () => true,
    (error: unknown) => {
      if (codeOf(error) === "EEXIST") return false
      throw error
    },
  )
}

/** Over what a killed pull has left there. */
async function putInPlace(from: string, to: string): Promise<void> {
  if ((await lstat(from)).isDirectory()) await rm(to, { recursive: true, force: true })
  await rename(from, to)
}

/** Made in `staging`, and whole when it gets its name. */
async function mark(
  staging: string,
  folder: string,
  { model, version, digest, resources }: VerifiedManifest,
): Promise<void> {
  if (resources.some(({ name }) => name === pullMarker)) return
  const made = join(staging, pullMarker)
  await createFile(made, `${model}@${version} sha256:${digest}\n`, { mode: 0o644 })
  await moveDurably(made, join(folder, pullMarker))
}
