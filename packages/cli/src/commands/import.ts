/** `weighlock import oms PATH --bundle model.sig --as ns/name@1.0.0`: what another tool signed, signed anew under our name. */
import { createHash } from "node:crypto"
import { lstat } from "node:fs/promises"
import { join } from "node:path"
import { ManifestError, type Resource } from "@weighlock/manifest"
import type { OmsSigner } from "@weighlock/manifest/node"
import type { Command } from "commander"
import { type Context, openContext } from "../context.ts"
import { nameOf, summary } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import type { ForeignModel, OmsFlags } from "../oms.ts"
import { listingJson } from "../publishing/listing.ts"
import type { Signed, SignFlags } from "../signing.ts"
import { foreignTrust, signing } from "./signing-options.ts"

interface ImportFlags extends SignFlags, OmsFlags {
  readonly bundle: string
  readonly output?: string
  readonly publish?: boolean
}

export function importCommand(program: Command, io: Io): void {
  const command = program.command("import").description("models that others have signed")
  foreignTrust(signing(command.command("oms <path>")))
    .description("verify another tool's model.sig, then sign the same files under a name and version of ours")
    .requiredOption("--bundle <file>", "the Sigstore bundle (model.sig)")
    .option("-o, --output <file>", "write the envelope here")
    .option("--publish", "publish it as well")
    .action(async (path: string, flags: ImportFlags) => importOms(await openContext(io, flags), path, flags))
}

async function importOms(context: Context, path: string, flags: ImportFlags): Promise<void> {
  const { openForeign } = await import("../oms.ts")
  const { signPath } = await import("../signing.ts")
  if (flags.envelope !== undefined) throw usage("an import is signed anew", "leave --envelope out")
  if ((flags.output === undefined) === (flags.publish !== true))
    throw usage("nothing says where the signature goes", "give -o FILE, or --publish, and not both")
  const { requireOutside } = await import("./sign.ts")
  if (flags.output !== undefined) requireOutside(context.path(path), context.path(flags.output))
  const foreign = await openForeign(context, path, flags, flags.exclude)
  const use = flags.publish === true ? "publish" : "file"
  const exclude = await there(context.path(path), foreign.leftOut)
  const meta = [...flags.meta, ...provenanceOf(foreign)]
  const signed = await signPath(context, path, { ...flags, exclude, meta, asItIs: true }, use)
  requireSame(signed.manifest.resources, foreign) // before anyone sees the signature
  const kept = await keepOriginal(context, foreign)
  if (flags.publish === true) await publishIt(context, path, signed, flags)
  else await writeIt(context, signed, flags.output ?? "", kept)
  context.out.hint(`the original signature is ${kept}`)
}

/** What both leave out. A manifest names such a path if it is there, and none below another. */
async function there(folder: string, paths: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const path of paths) {
    const isBelow = paths.some((other) => path.startsWith(`${other}/`))
    if (!isBelow && (await lstat(join(folder, path)).catch(() => null)) !== null) found.push(path)
  }
  return found
}

/** What is signed with the files: whose signature was there before, and over what. */
function provenanceOf({ oms, bytes }: ForeignModel): string[] {
  const { signer, statement } = oms
  const facts: Record<string, string> = {
    bundle: `sha256:${createHash("sha256").update(bytes).digest("hex")}`,
    statement: `sha256:${statement.digest}`,
    predicate: statement.predicateType,
    method: signer.method,
    key: signer.key.keyid,
    ...certificateOf(signer),
  }
  return Object.entries(facts).map(([name, value]) => `provenance.oms.${name}=${value}`)
}

function certificateOf(signer: OmsSigner): Record<string, string> {
  if (signer.method === "key") return {}
  return {
    certificate: `sha256:${signer.fingerprint}`,
    subject: plainText(signer.subject),
    root: plainText(signer.root),
  }
}

/** A certificate may say anything; metadata are NFC without control characters. */
function plainText(text: string): string {
  return text
    .toWellFormed()
    .normalize("NFC")
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\ufffd")
    .slice(0, 1000)
    .toWellFormed()
}

/** The files that are signed now are, byte for byte, those that were found signed a moment ago. */
function requireSame(resources: readonly Resource[], { oms }: ForeignModel): void {
  const same =
    resources.length === oms.digests.size && resources.every(({ name, digest }) => oms.digests.get(name) === digest)
  if (!same)
    throw new ManifestError("FILE_CHANGED", "the files changed between the check and the signature", {
      hint: "stop whatever writes the model folder, then run the command again",
    })
}

/** Beside the receipts, not in the model: a further file there would no longer be what was signed. */
async function keepOriginal(context: Context, { bytes }: ForeignModel): Promise<string> {
  const { makeStateFolder, replaceFile } = await import("../files.ts")
  const folder = join(context.settings.home, "provenance")
  await makeStateFolder(folder)
  const path = join(folder, `${createHash("sha256").update(bytes).digest("hex")}.sig`)
  await replaceFile(path, bytes)
  return path
}

async function publishIt(context: Context, path: string, signed: Signed, flags: ImportFlags): Promise<void> {
  const { publishSigned } = await import("./publish.ts")
  await publishSigned(context, path, signed, flags)
}

async function writeIt(
  context: Context,
  { manifest, envelope, taken }: Signed,
  file: string,
  original: string,
): Promise<void> {
  const { formatEnvelope } = await import("@weighlock/manifest")
  const { replaceFile } = await import("../files.ts")
  const output = context.path(file)
  context.io.signal.throwIfAborted()
  await replaceFile(output, formatEnvelope(envelope))
  context.out.result({
    json: {
      ...summary(manifest),
      ...listingJson(taken, manifest),
      signatures: envelope.signatures.length,
      output,
      original,
    },
    text: `imported and signed ${nameOf(manifest)}`,
    digest: `sha256:${manifest.digest}`,
  })
}
