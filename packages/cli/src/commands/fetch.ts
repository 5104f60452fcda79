/** `weighlock pull`, `weighlock show`, `weighlock list` */
import type { Pulled } from "@weighlock/client"
import type { TrustRoot, VerifiedManifest } from "@weighlock/manifest"
import type { Command } from "commander"
import {
  type CommonFlags,
  type ConnectionFlags,
  connection,
  type Context,
  keeping,
  openClient,
  openContext,
} from "../context.ts"
import { instant, labelsOf, logged, nameOf, reportView, summary, viewJson } from "../describe.ts"
import type { Io } from "../io.ts"
import { formatBytes } from "../progress.ts"

type Flags = CommonFlags & ConnectionFlags
interface PullFlags extends CommonFlags, ConnectionFlags {
  readonly output: string
  readonly receipt?: string
}

export function fetchCommands(program: Command, io: Io): void {
  keeping(program.command("pull <reference>"))
    .description("fetch a version, verify it, and write its files")
    .requiredOption("-o, --output <dir>", "a new or empty folder, or one that holds exactly this")
    .option("--receipt <file>", "write its bundle, by which verify and serve take the folder")
    .action(async (reference: string, flags: PullFlags) => pull(await openContext(io, flags), reference, flags))

  connection(program.command("show <reference>"))
    .description("the verified manifest of a version")
    .action(async (reference: string, flags: Flags) => {
      const context = await openContext(io, flags)
      const { readTrust, showModel } = await import("@weighlock/client")
      const options = await openClient(context, flags, reference)
      const { manifest } = await showModel(reference, options)
      show(context, manifest, (await readTrust(options.trust))?.current)
    })

  connection(program.command("list [model]"))
    .description("the registry's models, or one model's versions (as the registry says)")
    .action(async (model: string | undefined, flags: Flags) => {
      const context = await openContext(io, flags)
      const { listModels, listVersions } = await import("@weighlock/client")
      const { parseModelName } = await import("@weighlock/manifest")
      const options = await openClient(context, flags)
      if (model === undefined) {
        const models = await listModels(options)
        context.out.result({
          json: { models },
          text:
            models
              .map((listed) => `${listed.model}  ${listed.versions} version${listed.versions === 1 ? "" : "s"}`)
              .join("\n") || "no models",
          lines: models.map((listed) => listed.model),
        })
        return
      }
      const versions = await listVersions(parseModelName(model), options)
      context.out.result({
        json: { model, versions },
        text:
          versions
            .map(({ version, manifest, createdAt }) => `${version}  sha256:${manifest}  ${createdAt}`)
            .join("\n") || "no versions",
        lines: versions.map(({ manifest }) => `sha256:${manifest}`),
      })
    })
}

async function pull(context: Context, reference: string, flags: PullFlags): Promise<void> {
  const { pullModel } = await import("@weighlock/client")
  const folder = context.path(flags.output)
  const receipt = flags.receipt === undefined ? null : context.path(flags.receipt)
  if (receipt !== null) {
    const { requireReceiptPlace } = await import("../receipt-file.ts")
    await requireReceiptPlace(receipt, folder, reference)
  }
  const pulled = await pullModel(reference, folder, await openClient(context, flags, reference))
  context.progress.end()
  const { manifest, view, unchanged } = pulled
  if (receipt !== null) await writeReceipt(receipt, pulled)
  context.out.result({
    json: {
      ...summary(manifest),
      ...logged(manifest),
      output: folder,
      unchanged,
      ...(receipt === null ? {} : { receipt }),
      view: viewJson(view),
    },
    text: `verified ${nameOf(manifest)}\n${unchanged ? `${folder} holds exactly this already` : `wrote ${folder}`}`,
    digest: `sha256:${manifest.digest}`,
  })
  reportView(context.out, view)
}

async function writeReceipt(path: string, pulled: Pulled): Promise<void> {
  const { receiptBytes } = await import("@weighlock/client")
  const { replaceFile } = await import("../files.ts")
  await replaceFile(path, receiptBytes(pulled))
}

function show({ out }: Context, manifest: VerifiedManifest, root: TrustRoot | undefined): void {
  const labels = labelsOf(root, manifest.signers)
  const rows = [
    ["model", `${manifest.model}@${manifest.version}`],
    ["manifest", `sha256:${manifest.digest}`],
    ["registry", manifest.registry],
    ["created", manifest.createdAt],
    ["logged", `${instant(manifest.loggedAt)}, index ${manifest.index}`],
    ["format", `${manifest.format}${manifest.entrypoint === undefined ? "" : ` (${manifest.entrypoint})`}`],
    ...manifest.signers.map((keyid, at) => ["signed by", [labels[at], keyid].filter(Boolean).join("  ")]),
    ...Object.entries(manifest.metadata).map(([key, value]) => [key, value]),
  ]
  const files = manifest.resources.map(
    ({ name, digest, size }) => `  ${digest}  ${formatBytes(size).padStart(9)}  ${name}`,
  )
  out.result({
    json: {
      ...summary(manifest),
      createdAt: manifest.createdAt,
      signers: manifest.signers,
      labels,
      metadata: { ...manifest.metadata },
      resources: manifest.resources.map(({ name, digest, size }) => ({ name, sha256: digest, size })),
      ...logged(manifest),
    },
    text: [...rows.map(([key = "", value = ""]) => `${key.padEnd(10)} ${value}`), ...files].join("\n"),
    digest: `sha256:${manifest.digest}`,
  })
}
