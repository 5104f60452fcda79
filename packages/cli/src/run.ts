/** `run(argv, io)` is the whole CLI: it writes to what it is handed and returns the exit code. */
import { Command, CommanderError } from "commander"
import { cacheCommand } from "./commands/cache.ts"
import { completionCommand } from "./commands/completion.ts"
import { doctorCommand } from "./commands/doctor.ts"
import { fetchCommands } from "./commands/fetch.ts"
import { initCommand } from "./commands/init.ts"
import { keyCommand } from "./commands/key.ts"
import { publishCommand } from "./commands/publish.ts"
import { registryCommand } from "./commands/registry.ts"
import { serveCommand } from "./commands/serve.ts"
import { signCommands } from "./commands/sign.ts"
import { trustCommand } from "./commands/trust.ts"
import { verifyCommand } from "./commands/verify.ts"
import { usage } from "./errors.ts"
import type { Io } from "./io.ts"
import { Output } from "./output.ts"

export async function run(argv: readonly string[], io: Io, version: string): Promise<number> {
  const out = new Output(io, { json: argv.includes("--json") })
  try {
    await build(io, version).parseAsync(argv, { from: "user" })
    return 0
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    if (io.stderr.isTTY === true) io.stderr.write("\r\u001b[K")
    return out.failure(error instanceof CommanderError ? asUsage(error) : error)
  }
}

function build(io: Io, version: string): Command {
  const program = new Command("weighlock")
  program
    .description("No model reaches the GPU unweighed: sign, publish, fetch, verify and serve models.")
    .version(version, "-V, --version")
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: () => undefined })
    .showSuggestionAfterError()
  for (const add of [
    initCommand,
    keyCommand,
    trustCommand,
    signCommands,
    publishCommand,
    verifyCommand,
    fetchCommands,
    serveCommand,
    registryCommand,
    cacheCommand,
    doctorCommand,
    completionCommand,
  ]) {
    add(program, io)
  }
  return program
}

// Commander's own words, in the form of every other error.
function asUsage(error: CommanderError): Error {
  if (error.code === "commander.help") return usage("there is no such command", "weighlock --help lists them")
  return usage(error.message.replace(/^error: /, ""), "weighlock --help, or weighlock COMMAND --help")
}
