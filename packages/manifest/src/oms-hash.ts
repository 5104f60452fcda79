/**
 * The hash functions of other tools' bundles, by the names they give them.
 *
 *     sha256   blake2b   blake3        whole files, since v0.3
 *     sha256-sharded-1000000           pieces of a million bytes, since v0.3
 *     file-sha256   file-sha256-1000000    the same in v0.2
 */
import { ManifestError } from "./errors.ts"

export type OmsHash = "sha256" | "blake2b" | "blake3"

/** Bytes of a digest. */
export const hashSizes: Readonly<Record<OmsHash, number>> = { sha256: 32, blake2b: 64, blake3: 32 }

const form = /^(?:file-)?(?<name>[a-z0-9]+?)(?:(?:-sharded)?-(?<size>[1-9]\d{0,14}))?$/

/** `shardSize` is `null` where the name has none. Throws USAGE for one that is not computed here. */
export function parseAlgorithm(text: string): { hash: OmsHash; shardSize: number | null } {
  const { name, size } = form.exec(text)?.groups ?? {}
  const hash = Object.keys(hashSizes).find((known) => known === name) as OmsHash | undefined
  if (hash === undefined)
    throw new ManifestError("USAGE", `the files were hashed with ${JSON.stringify(text.slice(0, 100))}`, {
      hint: `computed here are ${Object.keys(hashSizes).join(", ")}: ask the signer to sign again with one of them`,
    })
  return { hash, shardSize: size === undefined ? null : Number(size) }
}
