/** The options that several commands share: what is signed, as whom, with which keys; and whom to trust for others' bundles. */
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
    .option("--include <path>", "take this file although it looks like a secret; may be repeated", collect, [])
    .option("--follow-symlinks", "take the files that links mean, if they are in the same folder or Hub repository")
    .option("--no-load-check", "do not ask whether the model can be loaded")
    .option("--key <label>", "sign with this key; may be repeated", collect, [])
    .option("--cosign-p256 <file>", "sign with this P-256 key (PEM) as well, for tools that know no other")
}

export function foreignTrust(command: Command): Command {
  return command
    .option("--key-file <file>", "another tool's bundle: the public key (PEM) that must have signed it")
    .option("--certificate-chain <file>", "another tool's bundle: the roots (PEM) that must vouch for its signer")
}

/** A question that is signed with the model, and answered whenever it is loaded. */
export function golden(command: Command): Command {
  return command.option("--golden <file>", "a predict body: it and its answer become part of the model, for all to see")
}
