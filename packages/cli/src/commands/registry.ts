/** `weighlock registry serve` */
import type { RegistryConfig } from "@weighlock/registry"
import { type Command, Option } from "commander"
import { type CommonFlags, common, type Context, openContext } from "../context.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { storeConfig, type StoreFlags, storeOptions } from "../store-flags.ts"
import { repairCommands } from "./registry-repair.ts"
import { portOf, untilAborted } from "./serve.ts"

interface ServeFlags extends CommonFlags, StoreFlags {
  readonly data: string
  readonly trust?: string
  readonly logKey?: string
  readonly host: string
  readonly port: string
  readonly publicUrl?: string
  readonly tokens?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly publishLog?: string
  readonly checkpointCopy?: string
  readonly witness?: "require" | "degrade"
  readonly logLevel: string
}

export function registryCommand(program: Command, io: Io): void {
  const registry = program.command("registry").description("run a registry")
  storeOptions(common(registry.command("serve")))
    .description("keep and serve signed manifests and blobs")
    .requiredOption("--data <dir>", "the folder that keeps everything")
    .option("--trust <file>", "the trust root file (WEIGHLOCK_TRUST, weighlock.toml)")
    .option(
      "--log-key <file|exec:program>",
      "the log's private key, or a program that signs (default: log-key.pem beside the trust root)",
    )
    .option("--checkpoint-copy <file>", "copy of the newest checkpoint, best on another disk (default: in --data)")
    .option("--publish-log <dir>", "publish the log here too, as files that any web server can serve")
    .addOption(
      new Option("--witness <mode>", "whether readers are shown only what enough witnesses have confirmed").choices([
        "require",
        "degrade",
      ]),
    )
    .option("--host <host>", "address to listen on; anything but loopback needs --tokens", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 takes a free one", "0")
    .option("--public-url <url>", "where clients reach it")
    .option("--tokens <file>", "the token file")
    .option("--tls-cert <file>", "certificate chain, PEM")
    .option("--tls-key <file>", "its private key, PEM")
    .addOption(
      new Option("--log-level <level>", "least important lines to log")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .action(async (flags: ServeFlags) => serve(await openContext(io, flags), flags))

  repairCommands(registry, io)
}

async function serve(context: Context, flags: ServeFlags): Promise<void> {
  const { out, io } = context
  if ((flags.tlsCert === undefined) !== (flags.tlsKey === undefined))
    throw usage("--tls-cert and --tls-key go together")
  const { startRegistry } = await import("@weighlock/registry")
  const running = await startRegistry(configOf(context, flags))
  out.result({
    json: { url: running.url, pid: process.pid },
    text: `registry at ${running.url} (pid ${process.pid})`,
  })
  const forget = io.onHangup?.(() => void running.reload())
  await untilAborted(io.signal)
  forget?.()
  await running.close()
}

function configOf(context: Context, flags: ServeFlags): RegistryConfig {
  const { path, settings } = context
  const { data, host, port, logLevel, logKey, checkpointCopy, publishLog, witness, publicUrl, tokens } = flags
  const store = storeConfig(context, flags)
  return {
    data: path(data),
    trust: settings.trust(flags),
    host,
    port: portOf(port),
    logLevel,
    ...(store === null ? {} : { store }),
    ...(logKey === undefined ? {} : { logKey: signerPath(path, logKey) }),
    ...(checkpointCopy === undefined ? {} : { checkpointCopy: path(checkpointCopy) }),
    ...(publishLog === undefined ? {} : { publishLog: path(publishLog) }),
    ...(witness === undefined ? {} : { witness: { mode: witness } }),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    ...(tokens === undefined ? {} : { tokens: path(tokens) }),
    ...(flags.tlsCert === undefined || flags.tlsKey === undefined
      ? {}
      : { tls: { cert: path(flags.tlsCert), key: path(flags.tlsKey) } }),
  }
}

/** `exec:./sign` names a program as `./sign` names a file: from where the command was typed. */
function signerPath(path: Context["path"], text: string): string {
  return text.startsWith("exec:") ? `exec:${path(text.slice("exec:".length))}` : path(text)
}
