/** Which formats this version opens. A new one is a file beside this and a line here. */
import { refused } from "../errors.ts"
import { type LayersArtifacts, openTfjsLayers } from "./tfjs-layers.ts"

export const supportedFormats: readonly string[] = ["tfjs-layers"]

/** Throws MODEL_REFUSED. */
export function requireSupported(format: string): void {
  if (!supportedFormats.includes(format)) {
    throw refused(`format ${format} cannot be loaded by this version; supported: ${supportedFormats.join(", ")}`, {
      hint: "`weighlock pull` brings the verified files to another runtime",
    })
  }
}

/** Throws MODEL_REFUSED. */
export function openFormat(
  format: string,
  entrypoint: string | undefined,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): LayersArtifacts {
  requireSupported(format)
  if (entrypoint === undefined) throw refused("the manifest names no entrypoint")
  return openTfjsLayers(entrypoint, files)
}
