/** Runs in Node and, with its types taken off, in a browser page: what does `verify` say of each case? */
import {
  CodedError,
  decodeBase64,
  encodeUtf8,
  openTrustChain,
  parseBundle,
  parseReference,
  verify,
  verifyEd25519WithNode,
} from "@weighlock/manifest"
import { emptyCheckpoint } from "@weighlock/tlog"

export interface Case {
  readonly name: string
  /** Trust root and bundle as JSON text. */
  readonly trust: string
  readonly bundle: string
  readonly reference: string
  /** Hex. */
  readonly pin?: string
  /** Time, else 2027. */
  readonly now?: string
}

/** `sha256:<manifest digest>`, or the code of the refusal. */
export function judge({ trust, bundle, reference, pin, now }: Case): string {
  try {
    const trustChain = openTrustChain(
      [encodeUtf8(trust)],
      pin === undefined ? { by: "file" } : { by: "digest", digest: pin },
    )
    const manifest = verify({
      reference: parseReference(reference),
      bundle: parseBundle(encodeUtf8(bundle)),
      trustChain,
      seen: emptyCheckpoint(trustChain.current.log.origin),
      consistency: [],
      maxStaleness: null,
      now: new Date(now ?? "2027-01-01T00:00:00Z"),
    })
    return `sha256:${manifest.digest}`
  } catch (error) {
    return error instanceof CodedError ? String(error.code) : `not one of ours: ${String(error)}`
  }
}

export interface Report {
  readonly agent: string
  /** Is there a second, native verifier? Not in a page. */
  readonly hasNodeCrypto: boolean
  readonly verdicts: readonly string[]
}

export function report(agent: string, cases: readonly Case[]): Report {
  const hasNodeCrypto = verifyEd25519WithNode(decodeBase64("", "none"), new Uint8Array(64), new Uint8Array()) !== null
  return { agent, hasNodeCrypto, verdicts: cases.map(judge) }
}
