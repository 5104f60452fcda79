/** Which of an envelope's signatures is meant: by key id, or by its form, which tells the two kinds of keys apart. */
import { type Envelope, type EnvelopeSignature, isSha256Hex } from "@weighlock/manifest"
import { CliError, usage } from "./errors.ts"

/** All of them where nothing is asked for, else exactly one. Throws USAGE or NOT_FOUND. */
export function chooseSignatures({ signatures }: Envelope, which: string | undefined): readonly EnvelopeSignature[] {
  if (which === undefined) return signatures
  if (which !== "p256" && which !== "ed25519" && !isSha256Hex(which))
    throw usage(`--signature ${JSON.stringify(which)} is not a key id, p256 or ed25519`)
  const found = signatures.filter(({ keyid, sig }) => keyid === which || which === (isDer(sig) ? "p256" : "ed25519"))
  if (found.length === 1) return found
  const list = signatures.map(({ keyid, sig }) => `${keyid} (${isDer(sig) ? "p256" : "ed25519"})`).join(", ")
  if (found.length > 1) throw usage(`several signatures are ${which}`, `give --signature with the key id: ${list}`)
  throw new CliError("NOT_FOUND", `there is no signature of ${which}`, { hint: `there are: ${list}` })
}

/** `SEQUENCE { INTEGER r, INTEGER s }`, from the first byte to the last; an Ed25519 signature has no structure. */
function isDer(sig: Uint8Array): boolean {
  const length = sig[3] ?? 0
  const rest = sig[5 + length] ?? 0
  return (
    sig[0] === 0x30 &&
    sig[1] === sig.length - 2 &&
    sig[2] === 0x02 &&
    sig[4 + length] === 0x02 &&
    6 + length + rest === sig.length
  )
}
