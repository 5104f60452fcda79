/**
 * What node:crypto does not say of an X.509 certificate (RFC 5280), read from its DER: which extensions there are, and what
 * they allow.
 *
 *     Certificate ::= { TBSCertificate { [0] version, serial, algorithm, issuer, validity, subject, key, [3] extensions },
 *                       algorithm, signature }
 */
import { X509Certificate } from "node:crypto"
import { ManifestError } from "../index.ts"
import { type DerValue, readDer } from "./der.ts"

export interface Certificate {
  readonly x509: X509Certificate
  /** `CN=Model signer, O=Weighlock tests`; as the certificate says, whatever that is. */
  readonly subject: string
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** Its signature is of a kind that is still strong: SHA-256 or better, or Ed25519. */
  readonly isStrong: boolean
  readonly isAuthority: boolean
  /** Authorities that may stand between this one and a signer; `null` is any number. */
  readonly pathLength: number | null
  /** Of KeyUsage; `null` where the certificate has none. */
  readonly usage: { readonly digitalSignature: boolean; readonly keyCertSign: boolean } | null
  /** Of ExtendedKeyUsage, as hex of the identifiers; `null` where the certificate has none. */
  readonly purposes: readonly string[] | null
  /** Identifiers (hex) of extensions that restrict it in ways not judged here. */
  readonly unjudged: readonly string[]
}

const oids = {
  basicConstraints: "551d13", // 2.5.29.19
  keyUsage: "551d0f", // 2.5.29.15
  extendedKeyUsage: "551d25", // 2.5.29.37
  subjectAltName: "551d11", // 2.5.29.17
  nameConstraints: "551d1e", // 2.5.29.30
} as const
/** 1.3.6.1.5.5.7.3.3, and anyExtendedKeyUsage 2.5.29.37.0 */
export const purposeOids = { codeSigning: "2b06010505070303", any: "551d2500" } as const

const strongAlgorithms = new Set([
  "2a8648ce3d040302", // ecdsa-with-SHA256, 1.2.840.10045.4.3.2
  "2a8648ce3d040303",
  "2a8648ce3d040304",
  "2a864886f70d01010b", // sha256WithRSAEncryption, 1.2.840.113549.1.1.11
  "2a864886f70d01010c",
  "2a864886f70d01010d",
  "2b6570", // Ed25519, 1.3.101.112
])
const judged = new Set<string>([
  oids.basicConstraints,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.subjectAltName, // names are shown, never compared
])

/** Throws MANIFEST_INVALID. */
export function parseCertificate(der: Uint8Array, what: string): Certificate {
  try {
    return read(Buffer.from(der))
  } catch (cause) {
    throw new ManifestError("MANIFEST_INVALID", `${what} is not an X.509 certificate we read`, { cause })
  }
}

function read(bytes: Buffer): Certificate {
  const x509 = new X509Certificate(bytes)
  if (!x509.raw.equals(bytes)) throw new RangeError("bytes beside the certificate")
  const [certificate] = readDer(bytes)
  const [tbs, algorithm] = readDer(content(certificate, 0x30))
  const members = readDer(content(tbs, 0x30))
  const isVersion3 = members[0]?.tag === 0xa0
  const named = members[isVersion3 ? 2 : 1]
  if (!content(named, 0x30).equals(content(algorithm, 0x30))) throw new RangeError("two signature algorithms")
  const [algorithmOid] = readDer(content(algorithm, 0x30))
  const extensions = readExtensions(members.find(({ tag }) => tag === 0xa3))
  const { isAuthority, pathLength } = readConstraints(extensions.get(oids.basicConstraints)?.value)
  return {
    x509,
    subject: x509.subject?.replaceAll("\n", ", ") ?? "",
    fingerprint: x509.fingerprint256.replaceAll(":", "").toLowerCase(),
    notBefore: readTime(x509.validFrom),
    notAfter: readTime(x509.validTo),
    isStrong: strongAlgorithms.has(content(algorithmOid, 0x06).toString("hex")),
    isAuthority,
    pathLength,
    usage: readUsage(extensions.get(oids.keyUsage)?.value),
    purposes: readPurposes(extensions.get(oids.extendedKeyUsage)?.value),
    unjudged: [...extensions]
      .filter(([name, { critical }]) => name === oids.nameConstraints || (critical && !judged.has(name)))
      .map(([name]) => name),
  }
}

interface Extension {
  readonly critical: boolean
  readonly value: Buffer
}

function readExtensions(wrapped: DerValue | undefined): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>()
  if (wrapped === undefined) return found
  const [list] = readDer(wrapped.content)
  for (const extension of readDer(content(list, 0x30))) {
    const [name, ...rest] = readDer(content(extension, 0x30))
    const key = content(name, 0x06).toString("hex")
    const critical = rest[0]?.tag === 0x01 && isTrue(rest[0])
    if (found.has(key)) throw new RangeError("an extension twice")
    found.set(key, { critical, value: content(rest.at(-1), 0x04) })
  }
  return found
}

function readConstraints(value: Buffer | undefined): { isAuthority: boolean; pathLength: number | null } {
  if (value === undefined) return { isAuthority: false, pathLength: null }
  const [constraints] = readDer(value)
  const members = readDer(content(constraints, 0x30))
  const authority = members.find(({ tag }) => tag === 0x01)
  const length = members.find(({ tag }) => tag === 0x02)
  if (length !== undefined && (length.content.length !== 1 || length.content.readInt8() < 0))
    throw new RangeError("a path length we do not read")
  return {
    isAuthority: authority !== undefined && isTrue(authority),
    pathLength: length === undefined ? null : length.content.readInt8(),
  }
}

function readUsage(value: Buffer | undefined): Certificate["usage"] {
  if (value === undefined) return null
  const [bits] = readDer(value)
  const first = content(bits, 0x03).readUInt8(1)
  return { digitalSignature: (first & 0x80) !== 0, keyCertSign: (first & 0x04) !== 0 }
}

function readPurposes(value: Buffer | undefined): readonly string[] | null {
  if (value === undefined) return null
  const [list] = readDer(value)
  return readDer(content(list, 0x30)).map((purpose) => content(purpose, 0x06).toString("hex"))
}

function isTrue(value: DerValue): boolean {
  const { content } = value
  return content.length === 1 && content.readUInt8() !== 0
}

function content(value: DerValue | undefined, tag: number): Buffer {
  if (value?.tag !== tag) throw new RangeError("another ASN.1 type than expected")
  return value.content
}

function readTime(text: string): Date {
  const time = new Date(text)
  if (Number.isNaN(time.getTime())) throw new RangeError("a validity that is no time")
  return time
}
