/** `weighlock verify PATH --bundle FILE`: offline; do these files match what trusted keys signed, and was it logged? */
import type { VerifiedReceipt } from "@weighlock/client"
import type { Bundle, Manifest, SignedManifest, TrustChain } from "@weighlock/manifest"
import type { Command } from "commander"
import { type CommonFlags, type ConnectionFlags, type Context, fresh, openContext, trusting } from "../context.ts"
import { counted, logged, nameOf, offlineNote, placeOf } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { openTrust } from "../trust.ts"
import { readInput, requirePath } from "../files.ts"

interface VerifyFlags extends CommonFlags, ConnectionFlags {
  readonly bundle: string
}

export function verifyCommand(program: Command, io: Io): void {
  fresh(trusting(program.command("verify <path>")))
    .description("check a folder against a signature file, offline")
    .requiredOption("--bundle <file>", "envelope, bundle (receipt) or Sigstore bundle")
    .action(async (path: string, flags: VerifyFlags) => verifyPath(await openContext(io, flags), path, flags))
}

async function verifyPath(context: Context, path: string, flags: VerifyFlags): Promise<void> {
  const { openPublished } = await import("@weighlock/manifest")
  const { readSigned } = await import("../signed-file.ts")
  const { requireSameFiles } = await import("../same-files.ts")
  const trustChain = await openTrust(context, flags)
  const { envelope, bundle } = readSigned(await readInput(context.path(flags.bundle)))
  if (bundle === undefined && flags.maxStaleness !== undefined)
    throw usage(
      "this is not logged, so nothing says how fresh it is",
      "verify the receipt, or leave --max-staleness out",
    )
  await requirePath(context.path(path))
  const signed = openPublished(envelope, trustChain, new Date())
  if (bundle === undefined) {
    await requireSameFiles(context, context.path(path), signed)
    return reportSigned(context, signed)
  }
  const receipt = await verifyLogged(context, bundle, signed, trustChain, flags)
  await requireSameFiles(context, context.path(path), receipt.manifest)
  reportLogged(context, receipt)
}

async function verifyLogged(
  { settings }: Context,
  bundle: Bundle,
  { model, digest }: Manifest,
  trustChain: TrustChain,
  flags: VerifyFlags,
): Promise<VerifiedReceipt> {
  const { verifyReceipt } = await import("@weighlock/client")
  return await verifyReceipt({
    reference: { model, selector: { by: "digest", digest } },
    bundle,
    trustChain,
    state: settings.home,
    maxStaleness: settings.maxStaleness(flags, "kept"),
    now: new Date(),
  })
}

function reportSigned({ out }: Context, manifest: SignedManifest): void {
  out.result({
    json: { ...facts(manifest), verified: true, logged: false },
    text: `signatures verified, not logged: ${nameOf(manifest)}  (${filesOf(manifest)})`,
    digest: `sha256:${manifest.digest}`,
  })
}

function reportLogged({ out }: Context, { manifest, seenBefore }: VerifiedReceipt): void {
  out.result({
    json: { ...facts(manifest), ...logged(manifest), seenBefore },
    text: `verified, logged: ${manifest.model}@${manifest.version} ${placeOf(manifest)} (${filesOf(manifest)})\nsha256:${manifest.digest}`,
    digest: `sha256:${manifest.digest}`,
  })
  if (!seenBefore) out.note(offlineNote(manifest.checkpoint))
}

function facts({ model, version, digest, signers, resources }: SignedManifest): Record<string, unknown> {
  return { model, version, manifest: `sha256:${digest}`, signers, files: resources.length }
}

function filesOf({ resources }: Manifest): string {
  return counted(resources.length, "file")
}
