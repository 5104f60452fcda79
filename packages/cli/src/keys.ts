/** The user's own keys: `$WEIGHLOCK_HOME/keys/<label>.pem`, 0600. */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { ManifestError, parseLabel, type PublicKey, type Signer } from "@weighlock/manifest"
import {
  formatPrivateKey,
  generateEd25519,
  isEncryptedPem,
  parsePrivateKey,
  readKeyFile,
  signerFor,
} from "@weighlock/manifest/node"
import { CliError, usage } from "./errors.ts"
import { createStateFile, makeStateFolder } from "./files.ts"
import { askHidden } from "./prompt.ts"
import { secret, type Settings } from "./settings.ts"

export interface KeyOptions {
  readonly passphrase: boolean
  readonly input: boolean
}

export function keyPath(settings: Settings, label: string): string {
  return join(settings.home, "keys", `${parseLabel(label)}.pem`)
}

/** Makes an Ed25519 key; `onMade` hears its keyid before the file is there. Never overwrites (CONFLICT). */
export async function newKey(
  settings: Settings,
  label: string,
  options: KeyOptions,
  onMade: (keyid: string) => Promise<void> = () => Promise.resolve(),
): Promise<Signer> {
  const path = keyPath(settings, label)
  const passphrase = options.passphrase ? await newPassphrase(settings, options) : null
  await makeStateFolder(join(settings.home, "keys"))
  const key = generateEd25519()
  const signer = signerFor(key)
  await onMade(signer.publicKey.keyid)
  if (!(await createStateFile(path, formatPrivateKey(key, passphrase)))) throw keyExists(path)
  return signer
}

export function keyExists(path: string): CliError {
  return new CliError("CONFLICT", `there is a key already: ${path}`, {
    hint: "keys are never overwritten; choose another label",
  })
}

export async function keyLabels(settings: Settings): Promise<string[]> {
  const names = await readdir(join(settings.home, "keys")).catch(() => [])
  return names
    .filter((name) => name.endsWith(".pem"))
    .map((name) => name.slice(0, -4))
    .toSorted()
}

/** `--key`s, else the toml's, else the only one there is; else USAGE. */
export async function chooseKeys(settings: Settings, given: readonly string[]): Promise<readonly string[]> {
  if (given.length > 0) return given
  if (settings.key !== undefined) return [settings.key]
  const labels = await keyLabels(settings)
  if (labels.length === 1) return labels
  if (labels.length === 0) throw usage(`there is no key in ${settings.home}`, "make one: weighlock key new LABEL")
  throw usage(
    `there are ${labels.length} keys, and nothing says which to use`,
    `give --key with one of ${labels.join(", ")}`,
  )
}

export async function openKey(
  settings: Settings,
  label: string,
  options: { readonly input: boolean },
): Promise<Signer> {
  const path = keyPath(settings, label)
  if (!(await keyLabels(settings)).includes(label))
    throw new CliError("NOT_FOUND", `there is no key ${label} in ${settings.home}`, { hint: "weighlock key list" })
  const pem = await readKeyFile(path)
  const isEncrypted = isEncryptedPem(pem)
  const passphrase = isEncrypted ? await passphraseFor(settings, label, options) : null
  try {
    return parsePrivateKey(pem, passphrase)
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    const hint = error.hint ?? (isEncrypted ? "WEIGHLOCK_PASSPHRASE may hold that of another key" : undefined)
    throw new ManifestError(error.code, `${path}: ${error.message}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
    })
  }
}

/** The public half; an encrypted key must be opened for it, because public keys are derived and never just stored. */
export async function openPublicKey(
  settings: Settings,
  label: string,
  options: { readonly input: boolean },
): Promise<PublicKey> {
  return (await openKey(settings, label, options)).publicKey
}

async function passphraseFor(
  settings: Settings,
  label: string,
  { input }: { readonly input: boolean },
): Promise<string> {
  const known = await secret(settings.io, "WEIGHLOCK_PASSPHRASE")
  if (known !== undefined) return known
  if (!input || settings.io.stdin.isTTY !== true)
    throw usage(
      `the key ${label} is encrypted, and there is no one to ask`,
      "set WEIGHLOCK_PASSPHRASE or WEIGHLOCK_PASSPHRASE_FILE",
    )
  return await askHidden(settings.io, `Passphrase of ${label}: `)
}

async function newPassphrase(settings: Settings, { input }: KeyOptions): Promise<string> {
  const known = await secret(settings.io, "WEIGHLOCK_PASSPHRASE")
  if (known !== undefined) return known
  if (!input || settings.io.stdin.isTTY !== true)
    throw usage(
      "a new key needs a passphrase, and there is no one to ask",
      "set WEIGHLOCK_PASSPHRASE or WEIGHLOCK_PASSPHRASE_FILE, or say --no-passphrase",
    )
  const first = await askHidden(settings.io, "New passphrase: ")
  if (first !== (await askHidden(settings.io, "Again: "))) throw usage("the two passphrases differ")
  return first
}
