/** The options that say what is signed, as whom, and with which keys: `sign` and `publish` share them. */
import type { Command } from "commander"
import { collect, connection } from "../context.ts"

export function signing(command: Command): Command {
  return connection(command)
    .option("--as <name>", "namespace/name@version")
    .option("--envelope <file>", "go on with what others signed: same manifest, more signatures")
    .option("--format <format>", "what the files are (default: found out)")
    .option("--entrypoint <path>", "the file a loader starts from (default: found out)")
    .option("--meta <key=value>", "a note that is signed; may be repeated", collect, [])
    .option("--exclude <path>", "leave this file or folder out; may be repeated", collect, [])
    .option("--key <label>", "sign with this key; may be repeated", collect, [])
}
