/**
 * A witness's key: Ed25519, in a file for its owner's eyes only, and the name under which it cosigns.
 *
 *     DATA/witness-key.pem                                        PKCS#8 PEM, mode 0600
 *     witness.example/w1+b8a2cf20+BFLN3yikSfFkVAJtrnh/CiY3Z…      what goes into a trust root's policy
 */
import { type KeyObject, createPublicKey, generateKeyPairSync, sign } from "node:crypto"
import { join } from "node:path"

import { createFile } from "@weighlock/node"
import { type NoteSigner, ed25519CosignatureType, formatVkey, parseVkey } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { readKeyFile } from "../log/key-file.ts"

export function keyPath(data: string): string {
  return join(data, "witness-key.pem")
}

/** Throws USAGE: no such file, readable by others, no Ed25519 key, or `name` is no name of a key. */
export async function openWitnessKey(path: string, name: string): Promise<NoteSigner> {
  const key = await readKeyFile(path, "witness key")
  return { vkey: vkeyOf(name, key), sign: (message) => sign(null, message, key) }
}

/** Makes the file unless there is one. */
export async function makeWitnessKey(path: string, name: string): Promise<NoteSigner> {
  const { privateKey } = generateKeyPairSync("ed25519")
  vkeyOf(name, privateKey) // before anything is written
  await createFile(path, privateKey.export({ type: "pkcs8", format: "pem" }))
  return await openWitnessKey(path, name)
}

function vkeyOf(name: string, key: KeyObject): string {
  const { x = "" } = createPublicKey(key).export({ format: "jwk" })
  const publicKey = Buffer.from(x, "base64url")
  try {
    const vkey = formatVkey(name, publicKey, ed25519CosignatureType)
    if (Buffer.byteLength(name) <= 255 && parseVkey(vkey) !== null) return vkey
  } catch {
    // said below
  }
  throw new RegistryError("USAGE", `${JSON.stringify(name)} is not a name for a witness`, {
    hint: "write a host and a path without scheme, spaces or plus signs, such as witness.example/w1",
  })
}
