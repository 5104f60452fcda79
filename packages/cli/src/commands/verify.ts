/** `weighlock verify PATH --bundle FILE`: offline; do these files match what trusted keys signed? */
import type { SignedManifest } from "@weighlock/manifest"
import type { Command } from "commander"
import { type CommonFlags, type ConnectionFlags, type Context, openContext, trusting } from "../context.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { warnOfExpiry } from "../expiry.ts"
import { readInput, requirePath } from "../files.ts"

interface VerifyFlags extends CommonFlags, ConnectionFlags {
  readonly bundle: string
}

export function verifyCommand(program: Command, io: Io): void {
  trusting(program.command("verify <path>"))
    .description("check a folder against a signature file, offline")
    .requiredOption("--bundle <file>", "envelope, bundle (receipt) or Sigstore bundle")
    .action(async (path: string, flags: VerifyFlags) => verifyPath(await openContext(io, flags), path, flags))
}

async function verifyPath(context: Context, path: string, flags: VerifyFlags): Promise<void> {
  const { openPublished, verify } = await import("@weighlock/manifest")
  const { readTrust } = await import("@weighlock/client")
  const { emptyCheckpoint } = await import("@weighlock/tlog")
  const { readSigned } = await import("../signed-file.ts")
  const { requireSameFiles } = await import("../same-files.ts")
  const trustChain = await readTrust(context.settings.trust(flags))
  if (trustChain === null) throw usage("verify works offline, so a pin is not enough", "give --trust FILE")
  warnOfExpiry(context.out, trustChain.current)
  const { envelope, bundle } = readSigned(await readInput(context.path(flags.bundle)))
  const now = new Date()
  let manifest = openPublished(envelope, trustChain, now)
  if (bundle !== undefined) {
    const reference = { model: manifest.model, selector: { by: "digest", digest: manifest.digest } } as const
    manifest = verify({
      reference,
      bundle,
      trustChain,
      seen: emptyCheckpoint(trustChain.current.log.origin),
      consistency: [],
      now,
    })
  }
  await requirePath(context.path(path))
  await requireSameFiles(context, context.path(path), manifest)
  report(context, manifest)
}

function report({ out }: Context, manifest: SignedManifest): void {
  const { model, version, digest, signers, resources } = manifest
  out.result({
    json: {
      model,
      version,
      manifest: `sha256:${digest}`,
      signers,
      files: resources.length,
      verified: true,
      logged: false,
    },
    text: `signatures verified, not logged: ${model}@${version}  sha256:${digest}  (${resources.length} file${resources.length === 1 ? "" : "s"})`,
    digest: `sha256:${digest}`,
  })
}
