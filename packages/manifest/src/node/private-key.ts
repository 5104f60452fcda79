/**
 * Private keys as files: PKCS#8 PEM, encrypted with PBES2 (scrypt, then AES-256-CBC) unless the user says otherwise.
 *
 *     -----BEGIN ENCRYPTED PRIVATE KEY-----
 *     MIGjMF8GCSqGSIb3DQEFDTBSMDEGCSsGAQQB2kcECzAkBBA…
 *
 * N = 16384, r = 8 is the dearest that both Node and the openssl command read; `openssl pkey -in key.pem` opens it.
 */
import {
  createCipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  scryptSync,
  sign,
} from "node:crypto"
import { constants } from "node:fs"
import { open } from "node:fs/promises"
import { enrolSpki, formatPem, ManifestError, type PublicKey, type Signer } from "../index.ts"
import { der, integer, octets, oid, readDer, sequence } from "./der.ts"

const scrypt = { N: 16_384, r: 8, p: 5 } as const
const oids = {
  pbes2: oid("1.2.840.113549.1.5.13"),
  pbkdf2: oid("1.2.840.113549.1.5.12"),
  scrypt: oid("1.3.6.1.4.1.11591.4.11"),
  aes256cbc: oid("2.16.840.1.101.3.4.1.42"),
}

export function generateEd25519(): KeyObject {
  return generateKeyPairSync("ed25519").privateKey
}

/** PKCS#8 PEM; `passphrase: null` leaves it in the clear. */
export function formatPrivateKey(key: KeyObject, passphrase: string | null): string {
  const plain = key.export({ type: "pkcs8", format: "der" })
  if (passphrase === null) return formatPem("PRIVATE KEY", plain)
  if (passphrase === "")
    throw new ManifestError("USAGE", "an empty passphrase protects nothing", {
      hint: "use --no-passphrase, if that is what you mean",
    })
  const [salt, iv] = [randomBytes(16), randomBytes(16)]
  const cipher = createCipheriv("aes-256-cbc", scryptSync(passphrase, salt, 32, { ...scrypt, maxmem: 2 ** 26 }), iv)
  const encrypted = Buffer.concat([cipher.update(plain), cipher.final()])
  const derivation = sequence(
    oids.scrypt,
    sequence(octets(salt), integer(scrypt.N), integer(scrypt.r), integer(scrypt.p)),
  )
  const algorithm = sequence(oids.pbes2, sequence(derivation, sequence(oids.aes256cbc, octets(iv))))
  return formatPem("ENCRYPTED PRIVATE KEY", sequence(algorithm, octets(encrypted)))
}

export function isEncryptedPem(pem: string): boolean {
  return pem.includes("BEGIN ENCRYPTED PRIVATE KEY")
}

/** Reads an Ed25519 or P-256 key. Throws KEY_FILE_INVALID: not such a key, wrong passphrase, or absurd derivation cost. */
export function parsePrivateKey(pem: string, passphrase: string | null): Signer {
  const encrypted = isEncryptedPem(pem) ? onlyBlock(pem) : null
  if (encrypted !== null) requireBearableCost(encrypted)
  const secret = passphrase === null ? {} : { passphrase }
  let key: KeyObject
  try {
    key =
      encrypted === null
        ? createPrivateKey({ key: pem, format: "pem", ...secret })
        : createPrivateKey({ key: encrypted, format: "der", type: "pkcs8", ...secret })
  } catch (cause) {
    const why = encrypted ? "the passphrase does not open this key" : "this is not a PKCS#8 private key in PEM"
    throw new ManifestError("KEY_FILE_INVALID", why, { cause })
  }
  return signerFor(key)
}

export function signerFor(key: KeyObject): Signer {
  const curve = key.asymmetricKeyDetails?.namedCurve
  const isEd25519 = key.asymmetricKeyType === "ed25519"
  if (!isEd25519 && curve !== "prime256v1")
    throw new ManifestError("KEY_FILE_INVALID", "only Ed25519 and ECDSA P-256 keys can sign")
  return {
    publicKey: derivePublicKey(key),
    // The hash is named by the curve: `null` on an EC key would mean SHA-256 whatever the curve is.
    sign: (message) => Promise.resolve(sign(isEd25519 ? null : "sha256", message, key)),
  }
}

/** The public half is always derived, never read from beside the private one. */
export function derivePublicKey(key: KeyObject): PublicKey {
  return enrolSpki(createPublicKey(key).export({ type: "spki", format: "der" }))
}

/** Refuses a file that others may read, that is not a regular file, or that is absurdly large (KEY_FILE_INVALID). */
export async function readKeyFile(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw new ManifestError("KEY_FILE_INVALID", `cannot read the key ${path}`, { cause })
  })
  try {
    const { mode, size } = await file.stat()
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > 16_384)
      throw new ManifestError("KEY_FILE_INVALID", `${path} is not a key file`)
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      throw new ManifestError(
        "KEY_FILE_INVALID",
        `${path} may be read by others (mode ${(mode & 0o777).toString(8)})`,
        { hint: `chmod 600 ${path}` },
      )
    }
    return await file.readFile("utf8")
  } finally {
    await file.close()
  }
}

// The bytes whose cost is judged must be the bytes that are opened: OpenSSL skips text and blocks that it does not want.
function onlyBlock(pem: string): Buffer {
  const form = /^-----BEGIN ENCRYPTED PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END ENCRYPTED PRIVATE KEY-----$/
  const [, body] = form.exec(pem.trim()) ?? []
  if (body === undefined)
    throw new ManifestError("KEY_FILE_INVALID", "the file holds more than one PKCS#8 private key in PEM")
  return Buffer.from(body, "base64")
}

// OpenSSL caps scrypt's memory itself, but not its repetitions, nor PBKDF2's: a key file must not cost minutes.
function requireBearableCost(encrypted: Buffer): void {
  const costs = derivationCosts(encrypted)
  if (costs === null)
    throw new ManifestError("KEY_FILE_INVALID", "the key is encrypted in a way we do not read", {
      hint: "use PBES2 with scrypt or PBKDF2",
    })
  const [kind, numbers] = costs
  const [first = 0, , third = 1] = numbers
  const bearable = kind === "pbkdf2" ? first <= 10_000_000 : first <= 2 ** 20 && third <= 16
  if (!bearable)
    throw new ManifestError("KEY_FILE_INVALID", `the key asks for an absurd ${kind} cost (${numbers.join(", ")})`)
}

function derivationCosts(encrypted: Buffer): readonly ["scrypt" | "pbkdf2", readonly number[]] | null {
  try {
    const [info] = members(encrypted)
    const [algorithm] = members(info)
    const [, parameters] = members(algorithm)
    const [derivation] = members(parameters)
    const [kind = Buffer.alloc(0), costs = Buffer.alloc(0)] = members(derivation)
    const name = der(0x06, kind)
    const numbers = readDer(costs)
      .filter(({ tag }) => tag === 0x02)
      .map(({ content }) => (content.length > 6 ? Number.POSITIVE_INFINITY : content.readUIntBE(0, content.length)))
    if (name.equals(oids.scrypt)) return ["scrypt", numbers]
    return name.equals(oids.pbkdf2) ? ["pbkdf2", numbers] : null
  } catch {
    return null
  }
}

function members(content: Buffer | undefined): Buffer[] {
  return readDer(content ?? Buffer.alloc(0)).map((value) => value.content)
}
