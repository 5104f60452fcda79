/**
 * The log's private key: an Ed25519 PKCS#8 PEM for the owner's eyes only, whose verifier key the trust root names.
 *
 *     models.acme.example/log+a1b2c3d4+AfWr…=      in the root's log.vkeys
 */
import { type KeyObject, createPrivateKey, createPublicKey } from "node:crypto"
import { open } from "node:fs/promises"

import type { TrustRoot } from "@weighlock/manifest"
import { formatVkey } from "@weighlock/tlog"

import { RegistryError } from "./errors.ts"

export interface LogKey {
  readonly vkey: string
  readonly privateKey: KeyObject
}

/** Throws USAGE: unreadable, readable by others, no Ed25519 key, or not the log's key by the trust root. */
export async function openLogKey(path: string, { log }: TrustRoot): Promise<LogKey> {
  const privateKey = parseKey(await readOwned(path), path)
  const jwk = createPublicKey(privateKey).export({ format: "jwk" })
  const vkey = formatVkey(log.origin, Buffer.from(jwk.x ?? "", "base64url"))
  if (log.vkeys.includes(vkey)) return { vkey, privateKey }
  throw new RegistryError("USAGE", `the log key ${path} is ${vkey}, which the trust root does not name`, {
    hint: "give --log-key the key that weighlock init made together with this trust root",
  })
}

async function readOwned(path: string): Promise<Buffer> {
  try {
    const file = await open(path, "r")
    try {
      const { mode, size } = await file.stat()
      if (process.platform !== "win32" && (mode & 0o077) !== 0) {
        throw new RegistryError("USAGE", `others may read the log key ${path}`, { hint: `chmod 600 ${path}` })
      }
      if (size > 64 * 1024) throw new RegistryError("USAGE", `${path} is too large to be a key`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof RegistryError) throw cause
    throw new RegistryError("USAGE", `the log key ${path} can't be read`, {
      cause,
      hint: "give its place with --log-key",
    })
  }
}

function parseKey(pem: Buffer, path: string): KeyObject {
  try {
    const key = createPrivateKey({ key: pem, format: "pem", type: "pkcs8" })
    if (key.asymmetricKeyType === "ed25519") return key
  } catch {
    // not quoted as a cause: the text is a secret
  }
  throw new RegistryError("USAGE", `${path} is not an unencrypted Ed25519 private key in PKCS#8 PEM`)
}
