/**
 * From a signer's certificate up to a root that the user trusts (RFC 5280 §6, and no more of it than is needed): names,
 * signatures, validity now, what each certificate may be used for. A certificate with a critical extension that is not
 * judged here is refused, as is one with name constraints. Revocation lists are not asked.
 */
import type { KeyObject } from "node:crypto"
import { formatTime, ManifestError } from "../index.ts"
import { type Certificate, parseCertificate, purposeOids } from "./certificate.ts"
import { type OmsKey, omsKey } from "./oms-key.ts"

/** Whose certificate it was. */
export interface CertifiedSigner {
  readonly key: OmsKey
  readonly subject: string
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string
  /** The subject of the root that vouches for it. */
  readonly root: string
}

/** Signature checks for one chain; certificates that all seem to issue each other would take for ever. */
const mostSteps = 64

/** The certificates in a PEM file. Throws USAGE, MANIFEST_INVALID. */
export function parseRoots(pem: string, what: string): readonly Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g) ?? []
  if (pem.length > 4_194_304 || blocks.length === 0)
    throw new ManifestError("USAGE", `${what} holds no certificates in PEM`)
  return blocks.map((block, at) =>
    parseCertificate(
      Buffer.from(block.replaceAll(/-----[A-Z ]+-----/g, ""), "base64"),
      `certificate ${at + 1} of ${what}`,
    ),
  )
}

/**
 * `chain` is DER, the signer's own first; the others may help to reach one of `roots`, and prove nothing by themselves.
 * Throws SIGNER_UNTRUSTED, MANIFEST_INVALID or KEY_WEAK.
 */
export function openCertificateChain(
  chain: readonly Uint8Array[],
  roots: readonly Certificate[],
  now: Date,
): CertifiedSigner {
  const [signer, ...helpers] = chain.map((der, at) => parseCertificate(der, `certificate ${at + 1} of the bundle`))
  if (signer === undefined) throw untrusted("the bundle names no certificate")
  requireSigner(signer, now)
  const root = new Search(roots, helpers, now).rootOf(signer)
  const { subject, fingerprint } = signer
  const key = keyOf(signer)
  if (key === null) throw new ManifestError("KEY_WEAK", `the key of ${subject} is not one we read`)
  return { key: omsKey(key, `the key of ${subject}`), subject, fingerprint, root: root.subject }
}

/** `null` for a kind of key that OpenSSL does not know, or that is no point of its curve. */
function keyOf({ x509 }: Certificate): KeyObject | null {
  try {
    return x509.publicKey
  } catch {
    return null
  }
}

function requireSigner(signer: Certificate, now: Date): void {
  const fault =
    faultOf(signer, now) ??
    weakness(signer) ??
    (signer.isAuthority ? "is a certificate authority's own" : null) ??
    (signer.usage?.digitalSignature === false ? "is not for digital signatures" : null) ??
    (signer.purposes?.includes(purposeOids.codeSigning) === true ? null : "is not for code signing")
  if (fault !== null) throw untrusted(`the certificate of ${signer.subject} ${fault}`)
}

function faultOf({ notBefore, notAfter, unjudged }: Certificate, now: Date): string | null {
  if (now < notBefore) return `is not valid before ${formatTime(notBefore)}`
  if (now > notAfter) return `expired at ${formatTime(notAfter)}`
  return unjudged.length === 0 ? null : `is restricted in a way that is not judged here (${unjudged.join(", ")})`
}

/** How a root is signed does not matter: nothing rests on it. */
function weakness({ isStrong }: Certificate): string | null {
  return isStrong ? null : "is signed with an algorithm that is too weak, or that we do not know"
}

class Search {
  readonly #roots: readonly Certificate[]
  readonly #helpers: readonly Certificate[]
  readonly #now: Date
  #steps = 0
  /** Why the last issuer that fitted by name did not do. */
  #reason = "no root that you trust has issued it"

  constructor(roots: readonly Certificate[], helpers: readonly Certificate[], now: Date) {
    this.#roots = roots
    this.#helpers = helpers
    this.#now = now
  }

  rootOf(signer: Certificate): Certificate {
    const root = this.#above(signer, [signer])
    if (root === null) throw untrusted(`the certificate of ${signer.subject}: ${this.#reason}`)
    return root
  }

  /** `path` leads from the signer to `certificate`. */
  #above(certificate: Certificate, path: readonly Certificate[]): Certificate | null {
    for (const root of this.#roots) if (this.#hasIssued(root, certificate, path)) return root
    for (const helper of this.#helpers) {
      if (path.includes(helper) || !this.#hasIssued(helper, certificate, path)) continue
      const weak = weakness(helper)
      if (weak !== null) {
        this.#refuse(helper, weak)
        continue
      }
      const root = this.#above(helper, [...path, helper])
      if (root !== null) return root
    }
    return null
  }

  #hasIssued(issuer: Certificate, certificate: Certificate, path: readonly Certificate[]): boolean {
    if (!certificate.x509.checkIssued(issuer.x509)) return false
    if (++this.#steps > mostSteps) throw untrusted("the bundle's certificates lead too many ways")
    const key = keyOf(issuer)
    if (key === null || !certificate.x509.verify(key)) return this.#refuse(issuer, "has not signed it")
    const fault = faultOf(issuer, this.#now) ?? authorityFault(issuer, key, path.length - 1)
    return fault === null || this.#refuse(issuer, fault)
  }

  #refuse({ subject }: Certificate, fault: string): false {
    this.#reason = `its issuer ${subject} ${fault}`
    return false
  }
}

/** `below` authorities stand between it and the signer. */
function authorityFault(issuer: Certificate, key: KeyObject, below: number): string | null {
  const { isAuthority, usage, purposes, pathLength } = issuer
  if (!isAuthority) return "is not a certificate authority"
  if (usage?.keyCertSign === false) return "may not sign certificates"
  if (purposes !== null && !purposes.includes(purposeOids.codeSigning) && !purposes.includes(purposeOids.any))
    return "is not for code signing"
  if (pathLength !== null && below > pathLength) return `may have ${pathLength} authorities below it, and has ${below}`
  const { modulusLength } = key.asymmetricKeyDetails ?? {}
  return modulusLength !== undefined && modulusLength < 2048 ? `has an RSA key of only ${modulusLength} bits` : null
}

function untrusted(message: string): ManifestError {
  return new ManifestError("SIGNER_UNTRUSTED", message, {
    hint: "ask the signer for the certificates, or for a new signature; --certificate-chain names the roots you trust",
  })
}
