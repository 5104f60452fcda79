/**
 * A file that claims something was logged, judged offline: the text of a proof with the entry it is of, or a bundle.
 *
 *     weighlock log verify receipts/5891b5b5….json
 *     weighlock log verify seven.tlog-proof --entry seven.json
 */
import { type Bundle, decodeUtf8, type Leaf, ManifestError, type TrustChain } from "@weighlock/manifest"
import type { Checkpoint } from "@weighlock/tlog"
import type { CommonFlags, ConnectionFlags, Context } from "./context.ts"
import { counted, instant, offlineNote } from "./describe.ts"
import { usage } from "./errors.ts"
import { readInput } from "./files.ts"
import { openTrust } from "./trust.ts"

type Flags = CommonFlags & ConnectionFlags & { readonly entry?: string }

interface Shown {
  /** `acme/mnist@1.2.0`, or what else happened. */
  readonly what: string
  readonly index: number
  readonly at: Date
  readonly checkpoint: Checkpoint
  readonly freshness: Date | null
  readonly seenBefore: boolean
  readonly manifest?: string
}

/** Throws LOG_INVALID where it proves nothing, and what `verify` throws for a receipt. */
export async function verifyLogFile(context: Context, file: string, flags: Flags): Promise<void> {
  const trustChain = await openTrust(context, flags)
  const bytes = await readInput(context.path(file))
  const shown = isProof(bytes)
    ? await ofProof(context, bytes, trustChain, flags)
    : await ofReceipt(context, bytes, trustChain, flags)
  report(context, shown)
}

const firstLine = "c2sp.org/tlog-proof@v1\n"

function isProof(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, firstLine.length)).toString("latin1") === firstLine
}

async function ofProof(context: Context, bytes: Uint8Array, trustChain: TrustChain, flags: Flags): Promise<Shown> {
  if (flags.entry === undefined)
    throw usage(
      "a proof is of an entry, and nothing says of which",
      "give --entry FILE, as weighlock log proof or log entry wrote it",
    )
  const { verifyLogProof } = await import("@weighlock/client")
  const entry = await readInput(context.path(flags.entry))
  const proof = readProven("this proof", () => decodeUtf8(bytes, "it"))
  const { leaf, ...place } = await verifyLogProof({ entry, proof, trustChain, ...judging(context, flags) })
  return { what: nameOf(leaf), at: new Date(leaf.at), ...place }
}

async function ofReceipt(context: Context, bytes: Uint8Array, trustChain: TrustChain, flags: Flags): Promise<Shown> {
  if (flags.entry !== undefined) throw usage("a receipt has its entry inside", "leave --entry out")
  const { verifyReceipt } = await import("@weighlock/client")
  const { openPublished } = await import("@weighlock/manifest")
  const bundle = await bundleOf(bytes)
  const { model, digest } = openPublished(bundle.envelope, trustChain, new Date())
  const reference = { model, selector: { by: "digest", digest } } as const
  const { manifest, seenBefore } = await verifyReceipt({ reference, bundle, trustChain, ...judging(context, flags) })
  const { index, loggedAt, checkpoint, freshness, version } = manifest
  return { what: `${model}@${version}`, index, at: loggedAt, checkpoint, freshness, seenBefore, manifest: digest }
}

async function bundleOf(bytes: Uint8Array): Promise<Bundle> {
  const { readSigned } = await import("./signed-file.ts")
  const { bundle, kind } = readProven("this file", () => readSigned(bytes))
  if (bundle !== undefined) return bundle
  const found = kind === "envelope" ? "an envelope" : "a Sigstore bundle"
  throw new ManifestError("LOG_INVALID", `not logged: this is ${found} without a proof`, {
    hint: "publish keeps the receipt; weighlock log proof fetches a proof",
  })
}

/** What can't even be read proves nothing: LOG_INVALID. */
function readProven<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof ManifestError)) throw cause
    throw new ManifestError("LOG_INVALID", `${what} proves nothing: ${cause.message}`, { cause })
  }
}

function judging({ settings }: Context, flags: Flags): { state: string; maxStaleness: number | null; now: Date } {
  return { state: settings.home, maxStaleness: settings.maxStaleness(flags, "kept"), now: new Date() }
}

function nameOf({ op, model, subject }: Leaf): string {
  if (op === "publish") return `${model}@${subject}`
  return [op, model, subject].filter((word) => word !== undefined).join(" ")
}

function report({ out }: Context, { what, index, at, checkpoint, freshness, seenBefore, manifest }: Shown): void {
  const { origin, size } = checkpoint
  out.result({
    json: {
      what,
      origin,
      index,
      size,
      loggedAt: instant(at),
      freshness: freshness === null ? null : instant(freshness),
      ...(manifest === undefined ? {} : { manifest: `sha256:${manifest}` }),
      seenBefore,
      logged: true,
    },
    text: `logged: ${what} at index ${index} of ${counted(size, "entry", "entries")} of ${origin}, ${instant(at)}`,
    lines: [String(index)],
  })
  if (!seenBefore) out.note(offlineNote(checkpoint))
}
