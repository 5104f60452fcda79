/** `weighlock sign`, `weighlock export` */
import { isAbsolute, relative } from "node:path"
import type { Command } from "commander"
import { type CommonFlags, common, type Context, openContext } from "../context.ts"
import { nameOf, summary } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { listingJson } from "../publishing/listing.ts"
import type { SignFlags } from "../signing.ts"
import { golden, signing } from "./signing-options.ts"

interface ExportFlags extends CommonFlags {
  readonly sigstore?: boolean
  readonly signature?: string
  readonly output?: string
}

export function signCommands(program: Command, io: Io): void {
  golden(signing(program.command("sign <path>")))
    .description("sign a model folder; the envelope goes to stdout")
    .option("-o, --output <file>", "write the envelope here")
    .action(async (path: string, flags: SignFlags & { output?: string }) =>
      sign(await openContext(io, flags), path, flags),
    )

  common(program.command("export <file>"))
    .description("an envelope or bundle in the form other tools read")
    .option("--sigstore", "as a Sigstore bundle (model.sig)")
    .option("--signature <which>", "only this one: a key id, p256 or ed25519")
    .option("-o, --output <file>", "write it here")
    .action(async (file: string, flags: ExportFlags) => exportSignature(await openContext(io, flags), file, flags))
}

async function sign(context: Context, path: string, flags: SignFlags & { output?: string }): Promise<void> {
  const { signPath } = await import("../signing.ts")
  const { chooseKeys } = await import("../keys.ts")
  const { formatEnvelope } = await import("@weighlock/manifest")
  const { replaceFile } = await import("../files.ts")
  const output = context.path(flags.output ?? "")
  if (flags.output !== undefined) requireOutside(context.path(path), output)
  // Who only cosigns what others signed needs no key of ours.
  const onlyCosigns = flags.envelope !== undefined && flags.cosignP256 !== undefined
  const key = onlyCosigns ? flags.key : await chooseKeys(context.settings, flags.key)
  const { manifest, envelope, taken } = await signPath(context, path, { ...flags, key }, "file")
  const bytes = formatEnvelope(envelope)
  const json = { ...summary(manifest), ...listingJson(taken, manifest), signatures: envelope.signatures.length }
  const digest = `sha256:${manifest.digest}`
  if (flags.output === undefined) {
    const text = Buffer.from(bytes).toString("utf8")
    context.out.result({ json: { ...json, envelope: JSON.parse(text) as unknown }, text, digest })
    return
  }
  context.io.signal.throwIfAborted()
  await replaceFile(output, bytes)
  context.out.result({ json: { ...json, output }, text: `signed ${nameOf(manifest)}`, digest })
}

/** An envelope inside the folder would be part of the model that is signed next. */
export function requireOutside(folder: string, output: string): void {
  const inside = relative(folder, output)
  if (inside !== "" && !inside.startsWith("..") && !isAbsolute(inside))
    throw usage(`${output} is inside the model folder`, "write the envelope beside it")
}

async function exportSignature(context: Context, file: string, flags: ExportFlags): Promise<void> {
  const { exportSigstore } = await import("@weighlock/manifest")
  const { readSigned } = await import("../signed-file.ts")
  const { readInput, replaceFile } = await import("../files.ts")
  if (flags.sigstore !== true) throw usage("nothing says in which form", "say --sigstore")
  const { envelope } = readSigned(await readInput(context.path(file)))
  const { chooseSignatures } = await import("../choose-signature.ts")
  const bundles = exportSigstore({ ...envelope, signatures: chooseSignatures(envelope, flags.signature) })
  const [first, ...more] = bundles
  if (first === undefined) throw usage(`${file} carries no signature`)
  if (flags.output === undefined) {
    for (const bundle of bundles) context.io.stdout.write(`${Buffer.from(bundle).toString("utf8")}\n`)
    return
  }
  const outputs = [flags.output, ...more.map((_, at) => `${flags.output}.${at + 2}`)].map((output) =>
    context.path(output),
  )
  for (const [at, bundle] of bundles.entries()) await replaceFile(outputs[at] ?? "", bundle)
  context.out.result({ json: { outputs }, text: outputs.map((output) => `wrote ${output}`).join("\n") })
}
