/**
 * Kept views: with one, a version that this machine has verified starts again when its registry cannot be reached. Each is
 * verified again before it is used (docs/serving.md, "Started without a registry").
 *
 *     <state>/kept/<sha256 of root v1's payload>/acme/mnist/1.2.0@<manifest digest>/0000000000001042-001795435200.view
 *                                                                                   size of the log, POSIX seconds
 *     {"bundle":{…},"mediaType":"application/vnd.weighlock.kept-view.v1+json","trust":[{…}],"verifiedAt":"2026-11-30T12:00:00Z"}
 *
 * `trust` is the chain of trust roots, `verifiedAt` when this machine verified it from the registry, by its own clock. The
 * greatest name is the view: a larger state of the log is newer, and of one state the one that was confirmed last. A file is
 * never rewritten, and whoever writes a newer one removes the older ones, so of two processes none puts an older one back.
 */
import { readdir, unlink } from "node:fs/promises"
import { basename, join } from "node:path"
import {
  type Bundle,
  canonicalJson,
  type FixedReference,
  formatBundle,
  formatTime,
  isSha256Hex,
  limits,
  openTrustChain,
  parseBundle,
  parseCanonical,
  parseJson,
  parseTime,
  type TrustChain,
  type VerifiedManifest,
} from "@weighlock/manifest"
import { createFile, makeFolder, syncFolder } from "@weighlock/node"
import { readBounded } from "./audit/source.ts"
import { ClientError, codeOf } from "./errors.ts"
import { asMembers, listOf, textOf } from "./json-answer.ts"

export const keptViewMediaType = "application/vnd.weighlock.kept-view.v1+json"

/** What was kept, of the form it has to have. It proves nothing until it is verified. */
export interface KeptView {
  readonly path: string
  readonly bundle: Bundle
  readonly trustChain: TrustChain
  readonly verifiedAt: Date
}

const largest = limits.bundle + 16 * limits.trustRoot
const namePattern = /^\d{16}-\d{12}\.view$/

export class KeptViews {
  /** Of this trust root's log alone. */
  readonly folder: string
  readonly #pin: string

  /** `pin`: SHA-256 of the first trust root's payload, hex. */
  constructor(state: string, pin: string) {
    this.folder = join(state, "kept", pin)
    this.#pin = pin
  }

  /** The newest view of that version, `null` where there is none. Throws STATE_DAMAGED, STATE_UNUSABLE. */
  async read(reference: FixedReference): Promise<KeptView | null> {
    // A file that vanishes was replaced by a newer one.
    for (let tries = 0; tries < 100; tries++) {
      const newest = await this.#newest(reference)
      if (newest === null) return null
      const view = await this.#readFile(newest)
      if (view !== null) return view
    }
    throw unusable(this.folder, new Error("other processes change it all the time"))
  }

  /** Durable once it resolves. A newer one that is there stays. Throws STATE_UNUSABLE. */
  async keep(bundle: Bundle, manifest: VerifiedManifest, trustChain: TrustChain, now: Date): Promise<void> {
    const { model, version, digest, checkpoint, freshness } = manifest
    const folder = join(this.folder, ...model.split("/"), `${version}@${digest}`)
    const own = nameOf(checkpoint.size, freshness ?? now)
    const there = (await namesIn(folder)).filter((name) => namePattern.test(name))
    // A clock that ran ahead when they were written must not keep them for ever.
    const ahead = nameOf(checkpoint.size, new Date(now.getTime() + 300_000))
    const newer = there.filter((name) => name >= own && (name <= ahead || sizeOf(name) > checkpoint.size))
    if (newer.length > 0) return
    const bytes = canonicalJson({
      bundle: parseJson(formatBundle(bundle), "the bundle"),
      mediaType: keptViewMediaType,
      trust: trustChain.envelopes.map((envelope) => parseJson(envelope, "the trust root")),
      verifiedAt: formatTime(now),
    })
    try {
      await makeFolder(folder)
      await createFile(join(folder, own), bytes)
      for (const name of there) await unlink(join(folder, name)).catch(ignoreAbsent)
      if (there.length > 0) await syncFolder(folder)
    } catch (cause) {
      throw unusable(folder, cause)
    }
  }

  /** An older view under the name of a newer one is none. Throws STATE_DAMAGED. */
  requireOwnName({ path, verifiedAt }: KeptView, { checkpoint, freshness }: VerifiedManifest): void {
    if (basename(path) === nameOf(checkpoint.size, freshness ?? verifiedAt)) return
    throw damaged(path, "it is older or newer than its name says")
  }

  /** Its path. */
  async #newest({ model, selector }: FixedReference): Promise<string | null> {
    const folder = join(this.folder, ...model.split("/"))
    const isIt = (name: string): boolean =>
      selector.by === "version" ? name.startsWith(`${selector.version}@`) : name.endsWith(`@${selector.digest}`)
    let [newest, path]: [string, string | null] = ["", null]
    for (const version of (await namesIn(folder)).filter(isIt)) {
      for (const name of await namesIn(join(folder, version))) {
        if (!namePattern.test(name) || name <= newest) continue
        ;[newest, path] = [name, join(folder, version, name)]
      }
    }
    return path
  }

  async #readFile(path: string): Promise<KeptView | null> {
    try {
      const members = asMembers(parseCanonical(await readBounded(path, largest), what), what)
      if (members["mediaType"] !== keptViewMediaType) throw new Error("it is of a kind that this release does not know")
      const envelopes = listOf(members, "trust", what).map((envelope) => canonicalJson(envelope))
      return {
        path,
        bundle: parseBundle(canonicalJson(members["bundle"] ?? null)),
        trustChain: openTrustChain(envelopes, { by: "digest", digest: this.#pin }),
        verifiedAt: parseTime(textOf(members, "verifiedAt", what), "verifiedAt"),
      }
    } catch (cause) {
      if (codeOf(cause) === "NOT_FOUND") return null
      throw damaged(path, (cause as Error).message, cause)
    }
  }
}

const what = "the kept view"

function damaged(path: string, why: string, cause?: unknown): ClientError {
  return new ClientError("STATE_DAMAGED", `${path} is no kept view: ${why}`, {
    cause,
    hint: "find out who changed it, then remove it: the next contact with the registry writes another",
  })
}

function nameOf(size: number, asOf: Date): string {
  const seconds = Math.max(0, Math.floor(asOf.getTime() / 1000))
  return `${String(size).padStart(16, "0")}-${String(seconds).padStart(12, "0")}.view`
}

function sizeOf(name: string): number {
  return Number(name.slice(0, 16))
}

async function namesIn(folder: string): Promise<string[]> {
  return await readdir(folder).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") return []
    throw unusable(folder, cause)
  })
}

function ignoreAbsent(cause: unknown): void {
  if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause
}

function unusable(path: string, cause: unknown): ClientError {
  if (cause instanceof ClientError) return cause
  const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
  return new ClientError("STATE_UNUSABLE", `cannot use the kept views in ${path}: ${why}`, {
    cause,
    hint: "set WEIGHLOCK_HOME to a folder of your own that survives restarts",
  })
}

/** The trust root of that pin as a view of this version holds it, `null` where there is none. */
export async function keptTrust(
  state: string,
  pin: string,
  reference: FixedReference | undefined,
): Promise<TrustChain | null> {
  if (reference === undefined || !isSha256Hex(pin)) return null
  return (await new KeptViews(state, pin).read(reference))?.trustChain ?? null
}
