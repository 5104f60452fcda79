/** From a reference to verified files in a folder, for whoever needs files. */
import { chmod, type FileHandle, link, lstat, stat, unlink } from "node:fs/promises"
import { type Bundle, parseFixedReference, type Resource, type VerifiedManifest } from "@weighlock/manifest"
import { downloadMissing, type Fetching, type Fresh } from "./download.ts"
import { byDigest, fromCache, verifying, withHashes } from "./fetching.ts"
import { pathBelow, PullTarget } from "./pull-target.ts"
import { resolveOrKept } from "./resolve.ts"
import type { ClientOptions } from "./session.ts"
import type { View } from "./view.ts"

export interface Pulled {
  readonly manifest: VerifiedManifest
  readonly view: View
  /** What `verify` takes later, with the folder. */
  readonly bundle: Bundle
  /** The folder held exactly this before, and nothing was written. */
  readonly unchanged: boolean
}

/**
 * Writes the verified files, and nothing else, to `folder`, which must be absent or empty, or hold exactly them
 * (TARGET_EXISTS). On a mount point a marker is written besides, last (docs/serving.md, "Files in a folder").
 */
export async function pullModel(reference: string, folder: string, options: ClientOptions): Promise<Pulled> {
  const wanted = parseFixedReference(reference)
  const target = await PullTarget.open(folder)
  const pull = async (session: Fetching): Promise<Pulled> => {
    const { manifest, view, bundle } = await resolveOrKept(session, wanted)
    const unchanged = await target.holds(session, manifest, verifying(session, manifest))
    if (!unchanged)
      await target.fill(
        manifest,
        async (into) => {
          const have = await intoFolder(session, manifest, into)
          await downloadMissing(session, manifest.resources, { sync: true, have })
        },
        session.signal,
      )
    return { manifest, view, bundle, unchanged }
  }
  return await withHashes(options, wanted.host, pull, wanted)
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
