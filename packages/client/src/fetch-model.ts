/** From a reference to verified bytes in memory, for a loader. */
import { constants } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import {
  type Bundle,
  limits,
  ManifestError,
  openPublished,
  parseBundle,
  parseFixedReference,
  type Resource,
  type TrustChain,
  type VerifiedManifest,
} from "@weighlock/manifest"
import { modelHasher } from "@weighlock/manifest/node"
import type { FileHasher, ReadOptions } from "@weighlock/node"
import { Cache } from "./cache.ts"
import { ClientError, codeOf } from "./errors.ts"
import { downloadMissing, type Fetching, type Fresh } from "./download.ts"
import { byDigest, fromCache, hashThreads, verifying, withHashes } from "./fetching.ts"
import { readGiven } from "./read-given.ts"
import { resolveOrKept } from "./resolve.ts"
import { defaultState } from "./seen.ts"
import { type ClientOptions, defaultCache, readTrust } from "./session.ts"
import { verifyReceipt } from "./verify-receipt.ts"
import { type View, viewOf } from "./view.ts"

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
  /** How old is what the manifest was verified against. */
  readonly view: View
  /** By resource name. */
  readonly files: ReadonlyMap<string, VerifiedFile>
}

/** Nothing is returned unless signature, name and every byte hold. Throws the codes of docs/errors.md. */
export async function fetchModel(reference: string, options: ClientOptions): Promise<VerifiedFiles> {
  const wanted = parseFixedReference(reference)
  return await withHashes(
    options,
    wanted.host,
    async (session) => await gather(session, await resolveOrKept(session, wanted)),
    wanted,
  )
}

/** What was verified before, and is wanted again. */
type Known = Pick<VerifiedFiles, "manifest" | "view">

/**
 * The files of a manifest that was verified before: from the cache, without a word to the registry, where they all are there
 * and right; else as `fetchModel`. Nothing is returned unless every byte holds.
 */
export async function fetchFiles({ manifest, view }: Known, options: ClientOptions): Promise<VerifiedFiles> {
  const { model, digest } = manifest
  const wanted = { model, selector: { by: "digest", digest } } as const
  const cached = await readCached({ manifest, view }, options)
  if (cached !== null) return cached
  return await withHashes(options, manifest.registry, (session) => gather(session, { manifest, view }), wanted)
}

/**
 * The files of a folder, by the bundle that was kept with it (`weighlock pull --receipt FILE`); nobody is asked. Which version
 * that is, the bundle says: `manifest` is for the caller to look at. Files that it does not list are not read. Throws
 * DIGEST_MISMATCH, USAGE for the pin of a trust root, NOT_FOUND, and every code of `verify`.
 */
export async function readModelFolder(folder: string, bundle: string, options: ClientOptions): Promise<VerifiedFiles> {
  const trustChain = await readTrust(options.trust)
  if (trustChain === null)
    throw new ClientError("USAGE", "a bundle is verified without asking anybody, so a pin is not enough", {
      hint: "give the trust root's file: --trust FILE",
    })
  const bytes = await readGiven(bundle, limits.bundle, "a bundle").catch((cause: unknown) => {
    throw cause instanceof ClientError ? cause : new ClientError("NOT_FOUND", `cannot read ${bundle}`, { cause })
  })
  const manifest = await verifyBundle(parseBundle(bytes), trustChain, options)
  const hasher = modelHasher(hashThreads)
  const onBytes = verifying({ onProgress: options.onProgress ?? (() => undefined) }, manifest)
  try {
    const files = new Map<string, VerifiedFile>()
    for (const resource of manifest.resources) {
      const { name, size, digest } = resource
      const bytes = await readResource(hasher, join(folder, ...name.split("/")), resource, {
        onBytes,
        signal: options.signal,
      })
      files.set(name, { name, size, digest, bytes } as VerifiedFile)
    }
    return { manifest, view: viewOf(manifest, "bundle", null), files } as unknown as VerifiedFiles
  } finally {
    await hasher.close()
  }
}

/** Its envelope names the version. */
async function verifyBundle(
  bundle: Bundle,
  trustChain: TrustChain,
  { state = defaultState(), maxStaleness = null }: { readonly state?: string; readonly maxStaleness?: number | null },
): Promise<VerifiedManifest> {
  const now = new Date()
  const { model, digest } = openPublished(bundle.envelope, trustChain, now)
  const reference = { model, selector: { by: "digest", digest } } as const
  return (await verifyReceipt({ reference, bundle, trustChain, state, maxStaleness, now })).manifest
}

/** Links are followed, as mounted volumes have them: what counts is the bytes. */
async function readResource(
  hasher: FileHasher,
  path: string,
  { name, size, digest }: Resource,
  options: ReadOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw differs(
      codeOf(cause) === "ENOENT" ? `${name} is missing` : `${name} cannot be read: ${String(codeOf(cause))}`,
    )
  })
  try {
    const found = await file.stat()
    if (!found.isFile() || found.size !== size) throw differs(`${name}: signed ${size} bytes, found ${found.size}`)
    const hashed = await hasher.hashRange(file, { start: 0, size }, { ...options, keep: true })
    if (hashed.digest !== digest || hashed.bytes === null)
      throw differs(`${name}: signed sha256:${digest}, found sha256:${hashed.digest}`)
    return hashed.bytes
  } finally {
    await file.close()
  }
}

function differs(message: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", message, { hint: "this folder is not what was signed: pull it again" })
}

async function readCached({ manifest, view }: Known, options: ClientOptions): Promise<VerifiedFiles | null> {
  const cache = await Cache.open(options.cache ?? defaultCache())
  const hasher = modelHasher(hashThreads)
  try {
    const files = new Map<string, VerifiedFile>()
    for (const resource of manifest.resources) {
      options.signal?.throwIfAborted()
      const bytes = await cache.load(hasher, resource, { signal: options.signal })
      if (bytes === "absent" || bytes === "wrong") return null
      const { name, size, digest } = resource
      files.set(name, { name, size, digest, bytes } as VerifiedFile)
    }
    return { manifest, view, files } as unknown as VerifiedFiles
  } finally {
    await hasher.close()
  }
}

async function gather(session: Fetching, { manifest, view }: Known): Promise<VerifiedFiles> {
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
  return { manifest, view, files: new Map(inOrder.map((file) => [file.name, file])) } as unknown as VerifiedFiles
}

async function readIntoMemory(
  session: Fetching,
  resource: Resource,
  onBytes: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  return await fromCache(session, resource, () => session.cache.load(session.hasher, resource, { onBytes }))
}
