/** `weighlock pull`, `weighlock show`, `weighlock list` */
import type { TrustRoot, VerifiedManifest } from "@weighlock/manifest"
import type { Command } from "commander"
import {
  type CommonFlags,
  type ConnectionFlags,
  connection,
  type Context,
  openClient,
  openContext,
} from "../context.ts"
import { instant, labelsOf, logged, nameOf, summary } from "../describe.ts"
import type { Io } from "../io.ts"
import { formatBytes } from "../progress.ts"

type Flags = CommonFlags & ConnectionFlags

export function fetchCommands(program: Command, io: Io): void {
  connection(program.command("pull <reference>"))
    .description("fetch a version, verify it, and write its files")
    .requiredOption("-o, --output <dir>", "a new or empty folder")
    .action(async (reference: string, flags: Flags & { output: string }) => {
      const context = await openContext(io, flags)
      const { pullModel } = await import("@weighlock/client")
      const folder = context.path(flags.output)
      const manifest = await pullModel(reference, folder, await openClient(context, flags, reference))
      context.progress.end()
      context.out.result({
        json: { ...summary(manifest), ...logged(manifest), output: folder },
        text: `verified ${nameOf(manifest)}\nwrote ${folder}`,
        digest: `sha256:${manifest.digest}`,
      })
    })

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
