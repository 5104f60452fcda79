/** `weighlock registry serve` */
import { type Command, Option } from "commander"
import { type CommonFlags, common, openContext } from "../context.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { portOf, untilAborted } from "./serve.ts"

interface RegistryFlags extends CommonFlags {
  readonly data: string
  readonly trust?: string
  readonly logKey?: string
  readonly host: string
  readonly port: string
  readonly publicUrl?: string
  readonly tokens?: string
  readonly tlsCert?: string
  readonly logLevel: string
  readonly tlsKey?: string
}

export function registryCommand(program: Command, io: Io): void {
  const registry = program.command("registry").description("run a registry")
  common(registry.command("serve"))
    .description("keep and serve signed manifests and blobs")
    .requiredOption("--data <dir>", "the folder that keeps everything")
    .option("--trust <file>", "the trust root file (WEIGHLOCK_TRUST, weighlock.toml)")
    .option("--log-key <file>", "the log's private key (default: log-key.pem beside the trust root)")
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
    .action(async (flags: RegistryFlags) => {
      const { out, path, settings, io: world } = await openContext(io, flags)
      const { startRegistry } = await import("@weighlock/registry")
      if ((flags.tlsCert === undefined) !== (flags.tlsKey === undefined))
        throw usage("--tls-cert and --tls-key go together")
      const running = await startRegistry({
        data: path(flags.data),
        trust: settings.trust(flags),
        host: flags.host,
        port: portOf(flags.port),
        logLevel: flags.logLevel,
        ...(flags.logKey === undefined ? {} : { logKey: path(flags.logKey) }),
        ...(flags.publicUrl === undefined ? {} : { publicUrl: flags.publicUrl }),
        ...(flags.tokens === undefined ? {} : { tokens: path(flags.tokens) }),
        ...(flags.tlsCert === undefined || flags.tlsKey === undefined
          ? {}
          : { tls: { cert: path(flags.tlsCert), key: path(flags.tlsKey) } }),
      })
      out.result({
        json: { url: running.url, pid: process.pid },
        text: `registry at ${running.url} (pid ${process.pid})`,
      })
      await untilAborted(world.signal)
      await running.close()
    })
}
