/** Does a folder hold exactly the signed files with exactly the signed bytes? */
import { type Manifest, ManifestError } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import type { Context } from "./context.ts"

/** DIGEST_MISMATCH names the first file that differs, is missing, or was not signed. */
export async function requireSameFiles(
  context: Context,
  path: string,
  manifest: Manifest,
  { followSymlinks = false }: { readonly followSymlinks?: boolean },
): Promise<void> {
  let [done, total] = [0, 0]
  const found = await hashFolder(path, {
    parts: false,
    exclude: manifest.exclude,
    followSymlinks,
    signal: context.io.signal,
    onStart: ({ bytes }) => (total = bytes),
    onBytes: (count) => context.progress.update({ phase: "verify", done: (done += count), total }),
  }).catch((cause: unknown) => {
    // A link, or a name that can't have been signed: the folder is not the one that was.
    const isOther = cause instanceof ManifestError && cause.code === "MANIFEST_INVALID"
    throw isOther ? differs(cause.message) : cause
  })
  context.progress.end()
  const byName = new Map(found.map((resource) => [resource.name, resource]))
  for (const { name, digest, size } of manifest.resources) {
    const file = byName.get(name)
    if (file === undefined) throw differs(`${name} is missing`)
    if (file.size !== size) throw differs(`${name}: signed ${size} bytes, found ${file.size}`)
    if (file.digest !== digest) throw differs(`${name}: signed sha256:${digest}, found sha256:${file.digest}`)
    byName.delete(name)
  }
  for (const name of byName.keys()) throw differs(`${name} is there but was not signed`)
}

function differs(message: string): ManifestError {
  return new ManifestError("DIGEST_MISMATCH", message, {
    hint: "this folder is not what was signed: pull it again, or sign it as a new version",
  })
}
