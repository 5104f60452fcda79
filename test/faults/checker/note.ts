/**
 * Opens a checkpoint with node:crypto alone.
 *
 *     models.acme.example/log
 *     42
 *     nND/nri/U0xuHUrYSy0HtMeal2vzD9V4k/BO79C+QeI=
 *
 *     — models.acme.example/log Az3grl…
 */
import { createPublicKey, verify } from "node:crypto"

import type { Hash } from "./merkle.ts"

export interface Signed {
  readonly size: number
  readonly root: Hash
}

export interface LogKey {
  readonly origin: string
  verify(text: string, signature: Buffer): boolean
}

/** `<name>+<8 hex>+<base64 of 01 and 32 bytes>` */
export function openKey(vkey: string): LogKey {
  const [, origin = "", id = "", data = ""] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? []
  const bytes = Buffer.from(data, "base64")
  if (bytes.length !== 33 || bytes[0] !== 1) throw new Error(`not an Ed25519 note key: ${vkey}`)
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), bytes.subarray(1)])
  const key = createPublicKey({ key: spki, format: "der", type: "spki" })
  return {
    origin,
    verify: (text, signature) =>
      signature.subarray(0, 4).toString("hex") === id && verify(null, Buffer.from(text), key, signature.subarray(4)),
  }
}

/** Throws when the note is not this log's, signed by this key. */
export function openCheckpoint(note: string, key: LogKey): Signed {
  const end = note.lastIndexOf("\n\n")
  const text = note.slice(0, end + 1)
  const [origin, size = "", root = ""] = text.split("\n")
  const signatures = note
    .slice(end + 2)
    .split("\n")
    .filter(Boolean)
  const mine = signatures.filter((line) => line.startsWith(`— ${key.origin} `))
  const good = mine.some((line) => key.verify(text, Buffer.from(line.split(" ")[2] ?? "", "base64")))
  if (end < 0 || origin !== key.origin || !/^(0|[1-9]\d*)$/.test(size)) throw new Error(`not a checkpoint: ${note}`)
  if (!good) throw new Error(`not signed by ${key.origin}: ${note}`)
  return { size: Number(size), root: Buffer.from(root, "base64").toString("hex") }
}
