/** `run(argv, io)` is the whole CLI: it writes to what it is handed and returns the exit code. */
import { Command, CommanderError, Help } from "commander"
import { auditCommand } from "./commands/audit.ts"
import { cacheCommand } from "./commands/cache.ts"
import { completionCommand } from "./commands/completion.ts"
import { deployCommand } from "./commands/deploy.ts"
import { doctorCommand } from "./commands/doctor.ts"
import { engineCommand } from "./commands/engine.ts"
import { fetchCommands } from "./commands/fetch.ts"
import { historyCommand } from "./commands/history.ts"
import { importCommand } from "./commands/import.ts"
import { initCommand } from "./commands/init.ts"
import { keyCommand } from "./commands/key.ts"
import { logCommand } from "./commands/log.ts"
import { monitorCommand } from "./commands/monitor.ts"
import { publishCommand } from "./commands/publish.ts"
import { registryCommand } from "./commands/registry.ts"
import { serveCommand } from "./commands/serve.ts"
import { signCommands } from "./commands/sign.ts"
import { trustCommand } from "./commands/trust.ts"
import { verifyCommand } from "./commands/verify.ts"
import { witnessCommand } from "./commands/witness.ts"
import { Finished, usage } from "./errors.ts"
import type { Io } from "./io.ts"
import { Output } from "./output.ts"

export async function run(argv: readonly string[], world: Io, version: string): Promise<number> {
  // An empty variable is no setting: that is how scripts and CI leave one out.
  const io = { ...world, env: Object.fromEntries(Object.entries(world.env).filter(([, value]) => value !== "")) }
  try {
    await build(io, version).parseAsync(argv, { from: "user" })
    return 0
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    if (error instanceof Finished) return error.exitCode
    if (error instanceof CommanderError && error.code === "commander.help") return 2 // a group without a verb: it printed its help
    return failure(argv, io, error instanceof CommanderError ? asUsage(error) : error)
  }
}

/** Prints what went wrong as `argv` asks for it, and returns the exit code. */
export function failure(argv: readonly string[], io: Io, error: unknown): number {
  if (io.stderr.isTTY === true) io.stderr.write("\r\u001b[K")
  return new Output(io, { json: argv.includes("--json") }).failure(error)
}

function build(io: Io, version: string): Command {
  const program = new Command("weighlock")
  program
    .description("No model reaches the GPU unweighed: sign, publish, fetch, verify and serve models.")
    .version(version, "-V, --version")
    .exitOverride()
    .configureHelp({
      // An empty list is no default worth a word.
      optionDescription: (option) => new Help().optionDescription(option).replace(" (default: [])", ""),
    })
    .configureOutput({ writeOut: (text) => io.stdout.write(text), writeErr: (text) => writeHelp(io, text) })
    .showSuggestionAfterError()
  for (const add of [
    initCommand,
    keyCommand,
    trustCommand,
    signCommands,
    publishCommand,
    verifyCommand,
    importCommand,
    fetchCommands,
    historyCommand,
    logCommand,
    auditCommand,
    monitorCommand,
    serveCommand,
    deployCommand,
    registryCommand,
    witnessCommand,
    cacheCommand,
    engineCommand,
    doctorCommand,
    completionCommand,
  ]) {
    add(program, io)
  }
  return program
}

// Commander writes its errors too, which we print in our own form; what begins with its usage line is help.
function writeHelp(io: Io, text: string): void {
  if (text.startsWith("Usage:")) io.stderr.write(text)
}

// Commander's own words, in the form of every other error; its suggestion stands on a line of its own, in brackets.
function asUsage(error: CommanderError): Error {
  const [message = "", suggestion] = error.message.replace(/^error: /, "").split("\n")
  const meant = /^\(Did you mean (.*)\?\)$/.exec(suggestion ?? "")?.[1]
  const help = "weighlock --help, or weighlock COMMAND --help"
  return usage(message, meant === undefined ? help : `did you mean ${meant}? Else ${help}`)
}
