/** Certificates that do not hold: asking again does not help, and "is it running?" is the wrong question. */

// Of X509_verify_cert (OpenSSL) as Node names them, and Node's own for a name that is not on the certificate.
const codes =
  /^(?:CERT_|CRL_|(?:DEPTH_ZERO_)?SELF_SIGNED_CERT|UNABLE_TO_(?:VERIFY|GET|DECODE|DECRYPT)_|INVALID_(?:CA|PURPOSE)$|PATH_LENGTH_EXCEEDED$|HOSTNAME_MISMATCH$|ERR_TLS_CERT_)/

/** The code of a failed certificate check, wherever in the chain of causes it is; else `null`. */
export function certificateProblem(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const code = (at as NodeJS.ErrnoException).code
    if (typeof code === "string" && codes.test(code)) return code
  }
  return null
}

export function isCertificateError(error: unknown): boolean {
  return certificateProblem(error) !== null
}

export function certificateHint(code: string): string {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "the certificate is for another name: use the name that it is for"
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return "whoever runs the registry must renew its certificate; or this machine's clock is wrong"
  return "if the registry has a private certificate authority, name that authority's file in NODE_EXTRA_CA_CERTS"
}
