/** `weighlock sign`, `weighlock export` */
import type { Command } from "commander"
import { type CommonFlags, common, type Context, openContext } from "../context.ts"
import { nameOf, summary } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import type { SignFlags } from "../signing.ts"
import { signing } from "./signing-options.ts"

export function signCommands(program: Command, io: Io): void {
  signing(program.command("sign <path>"))
    .description("sign a model folder; the envelope goes to stdout")
    .option("-o, --output <file>", "write the envelope here")
    .action(async (path: string, flags: SignFlags & { output?: string }) =>
      sign(await openContext(io, flags), path, flags),
    )

  common(program.command("export <file>"))
    .description("an envelope or bundle in the form other tools read")
    .option("--sigstore", "as a Sigstore bundle (model.sig)")
    .option("-o, --output <file>", "write it here")
    .action(async (file: string, flags: CommonFlags & { sigstore?: boolean; output?: string }) =>
      exportSignature(await openContext(io, flags), file, flags),
    )
}

async function sign(context: Context, path: string, flags: SignFlags & { output?: string }): Promise<void> {
  const { signPath } = await import("../signing.ts")
  const { chooseKeys } = await import("../keys.ts")
  const { formatEnvelope } = await import("@weighlock/manifest")
  const key = await chooseKeys(context.settings, flags.key)
  const { manifest, envelope } = await signPath(context, path, { ...flags, key })
  const bytes = formatEnvelope(envelope)
  if (flags.output === undefined) {
    context.io.stdout.write(`${Buffer.from(bytes).toString("utf8")}\n`)
    return
  }
  const { replaceFile } = await import("../files.ts")
  await replaceFile(context.path(flags.output), bytes)
  context.out.result({
    json: { ...summary(manifest), signatures: envelope.signatures.length, output: context.path(flags.output) },
    text: `signed ${nameOf(manifest)}`,
    digest: `sha256:${manifest.digest}`,
  })
}

async function exportSignature(
  context: Context,
  file: string,
  flags: { sigstore?: boolean; output?: string },
): Promise<void> {
  const { exportSigstore } = await import("@weighlock/manifest")
  const { readSigned } = await import("../signed-file.ts")
  const { readInput, replaceFile } = await import("../files.ts")
  if (flags.sigstore !== true) throw usage("nothing says in which form", "say --sigstore")
  const { envelope } = readSigned(await readInput(context.path(file)))
  const bundles = exportSigstore(envelope)
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
