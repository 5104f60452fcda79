/** The file of the log's or a witness's private key: an Ed25519 PKCS#8 PEM for the owner's eyes only. */
import { type KeyObject, createPrivateKey } from "node:crypto"
import { open } from "node:fs/promises"

import { RegistryError } from "../errors.ts"

/** Throws USAGE: unreadable, readable by others, or no Ed25519 key. */
export async function readKeyFile(path: string, what: "log key" | "witness key" = "log key"): Promise<KeyObject> {
  return parseKey(await readOwned(path, what), path)
}

async function readOwned(path: string, what: string): Promise<Buffer> {
  try {
    const file = await open(path, "r")
    try {
      const { mode, size } = await file.stat()
      if (process.platform !== "win32" && (mode & 0o077) !== 0) {
        throw new RegistryError("USAGE", `others may read the ${what} ${path}`, { hint: `chmod 600 ${path}` })
      }
      if (size > 64 * 1024) throw new RegistryError("USAGE", `${path} is too large to be a key`)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (cause) {
    if (cause instanceof RegistryError) throw cause
    throw new RegistryError("USAGE", `the ${what} ${path} can't be read`, {
      cause,
      hint: `give its place with --${what.replace(" ", "-")}`,
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
