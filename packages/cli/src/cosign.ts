/**
 * A second signature for tools that know P-256 only: the key is a PEM file as openssl makes it, beside the user's own keys.
 *
 *     openssl ecparam -name prime256v1 -genkey -noout -out cosign.pem
 *     openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -out cosign.pem
 */
import { ManifestError, type Signer } from "@weighlock/manifest"
import { isEncryptedPem, parsePrivateKey, readKeyFile } from "@weighlock/manifest/node"
import { usage } from "./errors.ts"
import { askHidden } from "./prompt.ts"
import { secret, type Settings } from "./settings.ts"

/** `path` is absolute. Throws KEY_FILE_INVALID or USAGE. */
export async function openCosigner(
  settings: Settings,
  path: string,
  options: { readonly input: boolean },
): Promise<Signer> {
  const pem = withoutParameters(await readKeyFile(path))
  if (/^Proc-Type: 4,ENCRYPTED/m.test(pem))
    throw new ManifestError("KEY_FILE_INVALID", `${path} is encrypted in openssl's old way, which we do not read`, {
      hint: `openssl pkcs8 -topk8 -in ${path} -out cosign.pem makes one that we do`,
    })
  const passphrase = isEncryptedPem(pem) ? await passphraseOf(settings, path, options) : null
  const signer = open(path, pem, passphrase)
  if (signer.publicKey.type !== "ecdsa-p256")
    throw usage(`${path} is an ${signer.publicKey.type} key`, "--cosign-p256 takes a key on the curve P-256")
  return signer
}

function open(path: string, pem: string, passphrase: string | null): Signer {
  try {
    return parsePrivateKey(pem, passphrase)
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new ManifestError(cause.code, `${path}: ${cause.message}`, {
      cause,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
    })
  }
}

/** `openssl ecparam -genkey` writes the curve before the key, which says it again. */
function withoutParameters(pem: string): string {
  return pem.replace(/-----BEGIN EC PARAMETERS-----[A-Za-z0-9+/=\s]*-----END EC PARAMETERS-----\s*/, "")
}

async function passphraseOf(settings: Settings, path: string, { input }: { readonly input: boolean }): Promise<string> {
  const known = await secret(settings.io, "WEIGHLOCK_COSIGN_PASSPHRASE")
  if (known !== undefined) return known
  if (!input || settings.io.stdin.isTTY !== true)
    throw usage(
      `${path} is encrypted, and there is no one to ask`,
      "set WEIGHLOCK_COSIGN_PASSPHRASE or WEIGHLOCK_COSIGN_PASSPHRASE_FILE",
    )
  return await askHidden(settings.io, `Passphrase of ${path}: `)
}
