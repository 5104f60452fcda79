/** `weighlock verify PATH --bundle FILE`: offline; do these files match what trusted keys signed, and was it logged? */
import type { VerifiedReceipt } from "@weighlock/client"
import {
  type Bundle,
  CodedError,
  type Manifest,
  ManifestError,
  type SignedManifest,
  type TrustChain,
} from "@weighlock/manifest"
import type { Command } from "commander"
import {
  collect,
  type CommonFlags,
  type ConnectionFlags,
  type Context,
  fresh,
  openContext,
  trusting,
} from "../context.ts"
import { counted, logged, nameOf, offlineNote, placeOf } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { openTrust } from "../trust.ts"
import { readInput, requirePath } from "../files.ts"
import type { OmsFlags } from "../oms.ts"
import type { SignedFile } from "../signed-file.ts"
import { foreignTrust } from "./signing-options.ts"

interface VerifyFlags extends CommonFlags, ConnectionFlags, OmsFlags {
  readonly bundle: string
  readonly exclude: readonly string[]
  readonly followSymlinks?: boolean
}

export function verifyCommand(program: Command, io: Io): void {
  foreignTrust(fresh(trusting(program.command("verify <path>"))))
    .description("check a folder against a signature file, offline")
    .requiredOption("--bundle <file>", "envelope, bundle (receipt) or Sigstore bundle")
    .option(
      "--follow-symlinks",
      "ours: compare the files that links mean, if they are in the same folder or Hub repository",
    )
    .option("--exclude <path>", "another tool's bundle: leave this out; may be repeated", collect, [])
    .action(async (path: string, flags: VerifyFlags) => {
      const isForeign = flags.keyFile !== undefined || flags.certificateChain !== undefined
      await (isForeign ? verifyForeign : verifyPath)(await openContext(io, flags), path, flags)
    })
}

/** What another tool signed has no name in our sense, no trust root and no log. */
async function verifyForeign(context: Context, path: string, flags: VerifyFlags): Promise<void> {
  const { foreignFacts, foreignText, openForeign } = await import("../oms.ts")
  if (flags.trust !== undefined || flags.maxStaleness !== undefined)
    throw usage(
      "another tool's bundle is judged by --key-file or --certificate-chain alone",
      "leave --trust and --max-staleness out",
    )
  const foreign = await openForeign(context, path, flags, flags.exclude)
  context.out.result({
    json: foreignFacts(foreign),
    text: foreignText(foreign),
    digest: `sha256:${foreign.oms.statement.digest}`,
  })
}

async function verifyPath(context: Context, path: string, flags: VerifyFlags): Promise<void> {
  const { openPublished } = await import("@weighlock/manifest")
  const { readSigned } = await import("../signed-file.ts")
  const { requireSameFiles } = await import("../same-files.ts")
  const { requireOurs } = await import("../oms.ts")
  if (flags.exclude.length > 0)
    throw usage("--exclude is for another tool's bundle", "our manifests say themselves what was left out")
  const bytes = await readInput(context.path(flags.bundle))
  requireOurs(bytes)
  const trustChain = await openTrust(context, flags)
  const { envelope, bundle, kind } = readSigned(bytes)
  if (bundle === undefined && flags.maxStaleness !== undefined)
    throw usage(
      "this is not logged, so nothing says how fresh it is",
      "verify the receipt, or leave --max-staleness out",
    )
  await requirePath(context.path(path))
  const signed = orForeign(kind, () => openPublished(envelope, trustChain, new Date()))
  if (bundle === undefined) {
    await requireSameFiles(context, context.path(path), signed, flags)
    return reportSigned(context, signed)
  }
  const receipt = await verifyLogged(context, bundle, signed, trustChain, flags)
  await requireSameFiles(context, context.path(path), receipt.manifest, flags)
  reportLogged(context, receipt)
}

/** A bundle that names its key by id only may be another tool's. */
function orForeign(kind: SignedFile["kind"], open: () => SignedManifest): SignedManifest {
  try {
    return open()
  } catch (cause) {
    if (kind !== "sigstore" || !(cause instanceof CodedError) || cause.code !== "SIGNER_UNTRUSTED") throw cause
    throw new ManifestError("SIGNER_UNTRUSTED", cause.message, {
      cause,
      hint: "if another tool made this bundle, say whose it must be: --key-file PUBLIC.pem",
    })
  }
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
