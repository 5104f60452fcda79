/** `weighlock publish`: sign, upload what is missing, post the envelope, keep the verified receipt. */
import { join } from "node:path"
import type { ClientOptions, Published } from "@weighlock/client"
import type { Draft, Envelope, Manifest } from "@weighlock/manifest"
import type { Command } from "commander"
import { type Context, openClient, openContext } from "../context.ts"
import { logged, nameOf, placeOf, summary } from "../describe.ts"
import type { Io } from "../io.ts"
import { printable } from "../output.ts"
import { listingJson, listingLines } from "../publishing/listing.ts"
import type { Signed, SignFlags } from "../signing.ts"
import { golden, signing } from "./signing-options.ts"

export function publishCommand(program: Command, io: Io): void {
  golden(signing(program.command("publish <path>")))
    .description("sign a model folder and publish it as a version")
    .option("--dry-run", "hash, sign, and list what is taken, but send nothing")
    .action(async (path: string, flags: SignFlags) => publish(await openContext(io, flags), path, flags))
}

async function publish(context: Context, path: string, flags: SignFlags): Promise<void> {
  const { signPath } = await import("../signing.ts")
  await publishSigned(context, path, await signPath(context, path, flags, "publish"), flags)
}

/** Sends what was signed, and prints the result. */
export async function publishSigned(context: Context, path: string, signed: Signed, flags: SignFlags): Promise<void> {
  if (flags.dryRun === true) {
    const lines = listingLines(signed.taken).map(printable)
    context.out.result({
      json: { ...summary(signed.manifest), ...listingJson(signed.taken, signed.manifest), dryRun: true },
      text: [`would publish ${nameOf(signed.manifest)}`, ...lines].join("\n"),
      digest: `sha256:${signed.manifest.digest}`,
    })
    return
  }
  const { published, receipt } = await sendSigned(context, path, signed, flags)
  const { manifest, created } = published
  context.out.result({
    json: { ...summary(manifest), ...listingJson(signed.taken, manifest), created, ...logged(manifest), receipt },
    text: `${created ? "published" : "already published"} ${nameOf(manifest)}\nlogged as ${placeOf(manifest)}`,
    digest: `sha256:${manifest.digest}`,
  })
  warnOfOther(context, signed.envelope, published)
  context.out.hint(`the receipt is ${receipt}`)
}

/** Sends what was signed, or finds that it was before, and keeps the receipt. */
export async function sendSigned(
  context: Context,
  path: string,
  signed: Signed,
  flags: SignFlags,
): Promise<{ readonly published: Published; readonly receipt: string }> {
  const { publishModel } = await import("@weighlock/client")
  const folder = context.path(path)
  const options = await openClient(context, flags)
  const send = (envelope: Envelope): Promise<Published> =>
    publishModel(folder, envelope, { ...options, files: signed.taken.files })
  // Signing twice gives two manifests (another createdAt), so a repeated publish is known by what it says.
  const published = await send((await publishedBefore(signed.manifest, options)) ?? signed.envelope).catch(
    async (error: unknown) => {
      const before =
        (error as { code?: unknown }).code === "VERSION_EXISTS" ? await publishedBefore(signed.manifest, options) : null
      if (before === null) throw error
      return await send(before)
    },
  )
  context.progress.end()
  return { published, receipt: await keepReceipt(context, published) }
}

/** The first accepted signatures are the ones that are logged, for ever. */
function warnOfOther({ out }: Context, { signatures }: Envelope, { bundle }: Published): void {
  const logged = new Set(bundle.envelope.signatures.map(({ keyid }) => keyid))
  for (const { keyid } of signatures)
    if (!logged.has(keyid)) out.warn(`it was published before, without a signature of ${keyid}, and stays so`)
}

/** The envelope of this very draft, if the registry has it under this version already (whenever it was made). */
async function publishedBefore(draft: Draft, options: ClientOptions): Promise<Envelope | null> {
  const { showModel, untilWitnessed } = await import("@weighlock/client")
  try {
    const shown = await untilWitnessed(() => showModel(`${draft.model}@${draft.version}`, options), options.signal)
    return sameBut(draft, shown.manifest) ? shown.bundle.envelope : null
  } catch (error) {
    if ((error as { code?: unknown }).code === "NOT_FOUND") return null
    throw error
  }
}

/** Whenever it was made, and whatever lay beside the files: a `.DS_Store` of today makes no other model. */
function sameBut(draft: Draft, manifest: Manifest): boolean {
  const text = ({ registry, model, version, format, entrypoint, metadata, resources }: Draft): string =>
    JSON.stringify([registry, model, version, format, entrypoint, Object.entries(metadata).toSorted(), resources])
  return text(draft) === text(manifest)
}

async function keepReceipt(context: Context, published: Published): Promise<string> {
  const { receiptBytes } = await import("@weighlock/client")
  const { makeStateFolder, replaceFile } = await import("../files.ts")
  const folder = join(context.settings.home, "receipts")
  await makeStateFolder(folder)
  const path = join(folder, `${published.manifest.digest}.json`)
  await replaceFile(path, receiptBytes(published))
  return path
}
