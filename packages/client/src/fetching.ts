/** What bringing files into memory and into a folder have in common: threads that hash, and a cache that is never believed. */
import type { FixedReference, Resource, VerifiedManifest } from "@weighlock/manifest"
import { modelHasher } from "@weighlock/manifest/node"
import { downloadMissing, type Fetching } from "./download.ts"
import { ClientError } from "./errors.ts"
import { mismatch } from "./receive.ts"
import { type ClientOptions, type Session, withSession } from "./session.ts"

/** They read and hash files. Each costs 15 MB, and begins when there is something to hash that the others have no time for. */
export const hashThreads = 2

export async function withHashes<T>(
  options: ClientOptions,
  host: string | undefined,
  use: (session: Fetching) => Promise<T>,
  wanted?: FixedReference,
): Promise<T> {
  const hashing = async (session: Session): Promise<T> => {
    const hasher = modelHasher(hashThreads)
    try {
      return await use({ ...session, hasher, onProgress: downloadsFirst(session.onProgress) })
    } finally {
      await hasher.close()
    }
  }
  return await withSession(options, host, hashing, wanted)
}

/** Who looks on sees one phase after the other: what is verified while others arrive is told once all are there. */
function downloadsFirst(onProgress: Session["onProgress"]): Session["onProgress"] {
  let arriving = false
  return (progress) => {
    if (progress.phase === "download") arriving = progress.done < progress.total
    if (progress.phase === "download" || !arriving) onProgress(progress)
  }
}

/** All the names that bytes have. */
export function byDigest({ resources }: VerifiedManifest): (resource: Resource) => readonly Resource[] {
  const named = Map.groupBy(resources, ({ digest }) => digest)
  return ({ digest }) => named.get(digest) ?? []
}

/** Others may prune the cache between a download and its reading: that often it is fetched again. */
const mostPruned = 4

/** A cache entry that does not match is fetched once more; a second mismatch is a cache that cannot be used. */
export async function fromCache<T>(
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

/** Tells how much of the model is verified. */
export function verifying(session: Pick<Session, "onProgress">, manifest: VerifiedManifest): (bytes: number) => void {
  const total = manifest.resources.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  return (bytes) => session.onProgress({ phase: "verify", done: (done += bytes), total })
}
