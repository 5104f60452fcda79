/**
 * Start-up is a proof (as far as it goes without a log): every row of the ledger is what its digest says, and was signed by
 * keys of this trust root; otherwise the registry does not start.
 *
 * Every digest, model and version is checked. Signatures cost a millisecond and more each, so they are checked for the
 * newest 1,000 publications.
 */
import { type TrustChain, decodeUtf8, openPublished, openTrustChain } from "@weighlock/manifest"

import { RegistryError } from "./errors.ts"
import { openStored } from "./registry.ts"
import type { SqliteLedger } from "./store/ledger-sqlite.ts"
import type { Publication, TrustRecord } from "./store/ledger.ts"

const signaturesChecked = 1000
/** Expiry is for publishing: what was published under a root is still true after it. */
const anyTime = new Date(0)

/** Throws STORE_FAILED, naming the row. */
export function proveLedger(ledger: SqliteLedger, trustChain: TrustChain): void {
  for (const root of ledger.allTrustRoots()) proveRoot(root)
  let count = 0
  for (const publication of ledger.newestFirst()) {
    proveRow(publication, (count += 1) <= signaturesChecked ? trustChain : null)
  }
}

function proveRoot({ version, digest, envelope }: TrustRecord): void {
  const what = `trust root ${version}`
  openStored(envelope, digest, what)
  attempt(what, () => openTrustChain([envelope], { by: "digest", digest }))
}

function proveRow({ digest, model, version, envelope: bytes }: Publication, trustChain: TrustChain | null): void {
  const what = `manifest ${digest} (${model}@${version})`
  const envelope = openStored(bytes, digest, what)
  const named = attempt(what, () =>
    trustChain ? openPublished(envelope, trustChain, anyTime) : namesOf(envelope.payload),
  )
  if (named.model !== model || named.version !== version) throw damagedRow(what)
}

interface Names {
  readonly model: string
  readonly version: string
}

/** Of a payload whose digest is right: it was parsed strictly when it was published. */
function namesOf(payload: Uint8Array): Names {
  type Statement = { readonly subject: readonly { readonly annotations: { readonly weighlock: Names } }[] }
  const { subject } = JSON.parse(decodeUtf8(payload, "the payload")) as Statement
  return subject[0]?.annotations.weighlock ?? { model: "", version: "" }
}

function attempt<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw damagedRow(what, cause)
  }
}

function damagedRow(what: string, cause?: unknown): RegistryError {
  const message = `the ledger's row of ${what} is not what was published: restore ledger.sqlite from a backup`
  return new RegistryError("STORE_FAILED", message, { cause })
}
