/** How a manifest appears in what commands print. */
import type { Manifest } from "@weighlock/manifest"

export function nameOf({ model, version, digest }: Manifest): string {
  return `${model}@${version}  sha256:${digest}`
}

/** The members that every `--json` document about a version has. */
export function summary({
  registry,
  model,
  version,
  digest,
  format,
  entrypoint,
  resources,
}: Manifest): Record<string, unknown> {
  return {
    registry,
    model,
    version,
    manifest: `sha256:${digest}`,
    format,
    entrypoint,
    files: resources.length,
    bytes: resources.reduce((sum, { size }) => sum + size, 0),
  }
}
