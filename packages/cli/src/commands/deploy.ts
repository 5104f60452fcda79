/** `weighlock deploy`: publish a model, write a service whose source pins its digest, and start it. */
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import type { Manifest } from "@weighlock/manifest"
import type { Command } from "commander"
import { type Context, openClient, openContext } from "../context.ts"
import { linkRuntime, requireEmpty, writeService } from "../deploying/service-folder.ts"
import { serviceFiles } from "../deploying/service-files.ts"
import { nameOf } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import type { SignFlags } from "../signing.ts"
import { version } from "../version.ts"
import { sendSigned } from "./publish.ts"
import { portOf, untilAborted } from "./serve.ts"
import { golden, signing } from "./signing-options.ts"

interface DeployFlags extends SignFlags {
  readonly to?: string
  readonly host: string
  readonly port: string
  readonly device: string
}

/** What the written source exports. */
interface Service {
  readonly start: (options: object) => Promise<{
    readonly url: string
    readonly manifest: string
    readonly failed: Promise<Error>
    close(): Promise<void>
  }>
}

export function deployCommand(program: Command, io: Io): void {
  golden(signing(program.command("deploy <path>")))
    .description("publish a model, write a service whose source pins its digest, and start it")
    .option("--to <dir>", "only write the service to this folder, with Containerfile and Kubernetes manifest")
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 takes a free one", "8080")
    .option("--device <device>", "auto, gpu, cpu, or an engine's name", "auto")
    .action(async (path: string, flags: DeployFlags) => deploy(await openContext(io, flags), path, flags))
}

async function deploy(context: Context, path: string, flags: DeployFlags): Promise<void> {
  const port = portOf(flags.port)
  // What can't be written should not be published.
  if (flags.to !== undefined) await requireEmpty(context.path(flags.to))
  const { signPath } = await import("../signing.ts")
  const signed = await signPath(context, path, flags, "publish")
  const { published } = await sendSigned(context, path, signed, flags)
  const { manifest } = published
  const files = await filesFor(context, flags, manifest, port)
  if (flags.to === undefined) return await startHere(context, flags, manifest, files, port)
  const folder = context.path(flags.to)
  await writeService(folder, files)
  context.out.result({
    json: { manifest: `sha256:${manifest.digest}`, folder, files: [...files.keys()] },
    text: `${nameOf(manifest)}\na service that pins it is in ${folder}: ${[...files.keys()].join(", ")}`,
    digest: `sha256:${manifest.digest}`,
  })
}

async function filesFor(
  { settings, progress }: Context,
  flags: DeployFlags,
  manifest: Manifest,
  port: number,
): Promise<ReturnType<typeof serviceFiles>> {
  const trust = settings.trust(flags)
  const { registry } = await settings.client(flags, progress.update)
  const isPin = trust.startsWith("sha256:")
  // A free port of today is no port of a service.
  const parts = { manifest, registry, trust: isPin ? trust : await readFile(trust), version, port: port || 8080 }
  return serviceFiles(parts)
}

/** In `$WEIGHLOCK_HOME/services`, where the same manifest has the same folder. */
async function startHere(
  context: Context,
  flags: DeployFlags,
  manifest: Manifest,
  files: ReturnType<typeof serviceFiles>,
  port: number,
): Promise<void> {
  const folder = join(context.settings.home, "services", ...manifest.model.split("/"), manifest.digest)
  await writeService(folder, files)
  await linkRuntime(folder)
  const { start } = (await import(pathToFileURL(join(folder, "service.mjs")).href)) as Service
  const options = await openClient(context, flags)
  const service = await start({ ...options, host: flags.host, port, device: flags.device })
  context.progress.end()
  if (service.manifest !== `sha256:${manifest.digest}`)
    throw usage(`${folder} serves ${service.manifest}, not what was published`, "remove that folder")
  context.out.result({
    json: { url: service.url, pid: process.pid, manifest: service.manifest, folder },
    text: [
      nameOf(manifest),
      `serving at ${service.url} (pid ${process.pid}), from ${folder}`,
      `try it in a browser, or: curl -d @instance.json ${service.url}/v1/algo/${manifest.model}`,
    ].join("\n"),
  })
  void service.failed.then(() => context.io.onStuck?.())
  const failure = await Promise.race([untilAborted(context.io.signal), service.failed])
  await service.close()
  if (failure) throw failure
}
