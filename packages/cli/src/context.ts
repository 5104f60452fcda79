/** What every command's action starts from, and the options that are the same everywhere. */
import { resolve } from "node:path"
import type { ClientOptions } from "@weighlock/client"
import { type Command, Option } from "commander"
import type { Io } from "./io.ts"
import { Output } from "./output.ts"
import { type ProgressMode, ProgressView } from "./progress.ts"
import { type ConnectionFlags, Settings } from "./settings.ts"

export interface CommonFlags {
  readonly json?: boolean
  readonly quiet?: boolean
  readonly progress?: ProgressMode
  readonly input: boolean
}

export interface Context {
  readonly io: Io
  readonly out: Output
  readonly progress: ProgressView
  readonly settings: Settings
  /** Resolves a path the user typed. */
  readonly path: (text: string) => string
}

export async function openContext(io: Io, flags: CommonFlags): Promise<Context> {
  const progress = new ProgressView(io, flags.progress ?? (flags.quiet === true ? "none" : "auto"))
  return {
    io,
    out: new Output(io, flags),
    progress,
    settings: await Settings.load(io),
    path: (text) => resolve(io.cwd, text),
  }
}

/** What talking to the registry needs; warns of a trust root that will soon expire. `reference` may name a host. */
export async function openClient(context: Context, flags: ConnectionFlags, reference?: string): Promise<ClientOptions> {
  const { parseReference } = await import("@weighlock/manifest")
  const { readTrust } = await import("@weighlock/client")
  const { warnOfExpiry } = await import("./expiry.ts")
  const host = reference === undefined ? undefined : parseReference(reference).host
  const options = await context.settings.client(flags, context.progress.update, host)
  const chain = await readTrust(options.trust)
  if (chain !== null) warnOfExpiry(context.out, chain.current)
  return options
}

/** Options of every command. */
export function common(command: Command): Command {
  return command
    .option("--json", "print one JSON document")
    .option("-q, --quiet", "print the digest only")
    .addOption(
      new Option("--progress <mode>", "how to show progress on stderr").choices(["auto", "bar", "json", "none"]),
    )
    .option("--no-input", "never ask")
}

/** Options of every command that asks a registry. */
export function connection(command: Command): Command {
  return fresh(trusting(command))
    .option("--registry <url>", "where to ask (WEIGHLOCK_REGISTRY)")
    .option("--allow-store-host <host>", "a private host that may be a store; may be repeated", collect, [])
}

/** Options of every command that can start from what was verified before. */
export function keeping(command: Command): Command {
  return connection(command).option("--offline", "ask nobody: take what this machine verified before")
}

export function trusting(command: Command): Command {
  return common(command).option("--trust <file|pin>", "trust root file, or sha256:<pin> (WEIGHLOCK_TRUST)")
}

/** Options of every command that judges how old a view of the log may be. */
export function fresh(command: Command): Command {
  return command.option(
    "--max-staleness <time>",
    "refuse what witnesses have not confirmed for so long: seconds, or 15m, 24h",
  )
}

export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value]
}

export type { ConnectionFlags }
