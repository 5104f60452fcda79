/** `weighlock sign`, `weighlock publish`, `weighlock export` */
import { mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import type { Draft, Manifest } from "@weighlock/manifest"
import type { Command } from "commander"
import { collect, type CommonFlags, common, connection, type Context, openContext } from "../context.ts"
import { CliError, usage } from "../errors.ts"
import type { Io } from "../io.ts"
import type { SignFlags } from "../signing.ts"

function signing(command: Command): Command {
  return connection(command)
    .requiredOption("--as <name>", "namespace/name@version")
    .option("--format <format>", "what the files are (default: found out)")
    .option("--entrypoint <path>", "the file a loader starts from (default: found out)")
    .option("--meta <key=value>", "a note that is signed; may be repeated", collect, [])
    .option("--exclude <path>", "leave this file or folder out; may be repeated", collect, [])
    .option("--key <label>", "sign with this key; may be repeated", collect, [])
}

export function signCommands(program: Command, io: Io): void {
  signing(program.command("sign <path>"))
    .description("sign a model folder; the envelope goes to stdout")
    .option("-o, --output <file>", "write the envelope here")
    .action(async (path: string, flags: SignFlags & { output?: string }) =>
      sign(await openContext(io, flags), path, flags),
    )

  signing(program.command("publish <path>"))
    .description("sign a model folder and publish it as a version")
    .option("--dry-run", "hash and sign, but send nothing")
    .action(async (path: string, flags: SignFlags & { dryRun?: boolean }) =>
      publish(await openContext(io, flags), path, flags),
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
  const { draftOf, openSigners, signDraft } = await import("../signing.ts")
  const { formatEnvelope } = await import("@weighlock/manifest")
  const signers = await openSigners(context, flags)
  const draft = await draftOf(context, context.path(path), await registryOf(context, flags), flags)
  const { manifest, envelope } = await signDraft(draft, signers)
  const bytes = formatEnvelope(envelope)
  if (flags.output === undefined) {
    context.io.stdout.write(`${Buffer.from(bytes).toString("utf8")}\n`)
    return
  }
  const { replaceFile } = await import("../files.ts")
  await replaceFile(context.path(flags.output), bytes)
  context.out.result({
    json: { ...summary(manifest), output: context.path(flags.output) },
    text: `signed ${nameOf(manifest)}`,
    digest: `sha256:${manifest.digest}`,
  })
}

async function publish(context: Context, path: string, flags: SignFlags & { dryRun?: boolean }): Promise<void> {
  const { draftOf, openSigners, signDraft } = await import("../signing.ts")
  const { publishModel } = await import("@weighlock/client")
  const signers = await openSigners(context, flags)
  const folder = context.path(path)
  const draft = await draftOf(context, folder, await registryOf(context, flags), flags)
  const signed = await signDraft(draft, signers)
  if (flags.dryRun === true) {
    context.out.result({
      json: { ...summary(signed.manifest), dryRun: true },
      text: `would publish ${nameOf(signed.manifest)}`,
      digest: `sha256:${signed.manifest.digest}`,
    })
    return
  }
  const options = await context.settings.client(flags, context.progress.update)
  const send = (envelope: typeof signed.envelope): ReturnType<typeof publishModel> =>
    publishModel(folder, envelope, options)
  // Signing twice gives two manifests (another createdAt), so a repeated publish is known by what it says.
  const published = await send((await publishedBefore(draft, options)) ?? signed.envelope).catch(
    async (error: unknown) => {
      const before =
        (error as { code?: unknown }).code === "VERSION_EXISTS" ? await publishedBefore(draft, options) : null
      if (before === null) throw error
      return await send(before)
    },
  )
  context.progress.end()
  const receipt = await keepReceipt(context, published)
  const { manifest, created } = published
  context.out.result({
    json: { ...summary(manifest), created, verified: true, logged: false, receipt },
    text: `${created ? "published" : "already published"} ${nameOf(manifest)}`,
    digest: `sha256:${manifest.digest}`,
  })
  context.out.hint(`the receipt is ${receipt}`)
}

/** The envelope of this very draft, if the registry has it under this version already (whenever it was made). */
async function publishedBefore(
  draft: Draft,
  options: import("@weighlock/client").ClientOptions,
): Promise<import("@weighlock/manifest").Envelope | null> {
  const { showModel } = await import("@weighlock/client")
  try {
    const { manifest, bundle } = await showModel(`${draft.model}@${draft.version}`, options)
    return sameBut(draft, manifest) ? bundle.envelope : null
  } catch (error) {
    if ((error as { code?: unknown }).code === "NOT_FOUND") return null
    throw error
  }
}

function sameBut(draft: Draft, manifest: Manifest): boolean {
  const text = ({ registry, model, version, format, entrypoint, metadata, exclude, resources }: Draft): string =>
    JSON.stringify([
      registry,
      model,
      version,
      format,
      entrypoint,
      Object.entries(metadata).toSorted(),
      exclude,
      resources,
    ])
  return text(draft) === text(manifest)
}

async function keepReceipt(context: Context, published: import("@weighlock/client").Published): Promise<string> {
  const { receiptBytes } = await import("@weighlock/client")
  const { replaceFile } = await import("../files.ts")
  const folder = join(context.settings.home, "receipts")
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: unknown) => {
    throw new CliError("STATE_UNUSABLE", `cannot make ${folder}`, { cause })
  })
  const path = join(folder, `${published.manifest.digest}.json`)
  await replaceFile(path, receiptBytes(published))
  return path
}

async function exportSignature(
  context: Context,
  file: string,
  flags: { sigstore?: boolean; output?: string },
): Promise<void> {
  const { exportSigstore } = await import("@weighlock/manifest")
  const { readSigned } = await import("../signed-file.ts")
  if (flags.sigstore !== true) throw usage("nothing says in which form", "say --sigstore")
  const { envelope } = readSigned(await readInput(context.path(file)))
  const bundles = exportSigstore(envelope)
  const [first, ...more] = bundles
  if (first === undefined) throw usage(`${file} carries no signature`)
  if (flags.output === undefined) {
    for (const bundle of bundles) context.io.stdout.write(`${Buffer.from(bundle).toString("utf8")}\n`)
    return
  }
  const { replaceFile } = await import("../files.ts")
  const outputs = [flags.output, ...more.map((_, at) => `${flags.output}.${at + 2}`)].map((output) =>
    context.path(output),
  )
  for (const [at, bundle] of bundles.entries()) await replaceFile(outputs[at] ?? "", bundle)
  context.out.result({ json: { outputs }, text: outputs.map((output) => `wrote ${output}`).join("\n") })
}

export async function readInput(path: string): Promise<Uint8Array> {
  return await readFile(path).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `cannot read ${path}`, { cause })
  })
}

/** The identity that goes into what is signed: only a trust root file can say it without asking the network. */
async function registryOf(context: Context, flags: SignFlags): Promise<string> {
  const { readTrust } = await import("@weighlock/client")
  const chain = await readTrust(context.settings.trust(flags))
  if (chain === null) throw usage("signing needs the trust root file, not only its pin", "give --trust FILE")
  return chain.current.registry
}

function nameOf({ model, version, digest }: Manifest): string {
  return `${model}@${version}  sha256:${digest}`
}

function summary({
  registry,
  model,
  version,
  digest,
  format,
  entrypoint,
  resources,
}: Manifest): Record<string, unknown> {
  return {
    registry,
    model,
    version,
    manifest: `sha256:${digest}`,
    format,
    entrypoint,
    files: resources.length,
    bytes: resources.reduce((sum, { size }) => sum + size, 0),
  }
}
