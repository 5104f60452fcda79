/** `weighlock witness init|serve|add-log`: be one of those who confirm that a log only grows (c2sp.org/tlog-witness). */
import { Option, type Command } from "commander"
import { type CommonFlags, common, type Context, openContext } from "../context.ts"
import { counted } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { portOf, untilAborted } from "./serve.ts"

interface DataFlags extends CommonFlags {
  readonly data: string
}

interface ServeFlags extends DataFlags {
  readonly host: string
  readonly port: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly logLevel: string
}

export function witnessCommand(program: Command, io: Io): void {
  const witness = program.command("witness").description("confirm to others that logs only grow")

  common(witness.command("init <dir>"))
    .description("make a witness: its key, and the memory of what it has signed")
    .requiredOption("--name <name>", "the witness's name, such as witness.example.org")
    .action(async (dir: string, flags: CommonFlags & { name: string }) =>
      init(await openContext(io, flags), dir, flags),
    )

  common(witness.command("serve"))
    .description("answer logs that ask for a cosignature")
    .requiredOption("--data <dir>", "the folder that init made")
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--port <port>", "port to listen on; 0 takes a free one", "0")
    .option("--tls-cert <file>", "certificate chain, PEM")
    .option("--tls-key <file>", "its private key, PEM")
    .addOption(
      new Option("--log-level <level>", "least important lines to log")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("info"),
    )
    .action(async (flags: ServeFlags) => serve(await openContext(io, flags), flags))

  common(witness.command("add-log <vkey>"))
    .description("begin to witness a log, which its verifier key names; also while it serves")
    .requiredOption("--data <dir>", "the folder that init made")
    .option("--origin <origin>", "the log's origin (default: the name in its key)")
    .action(async (vkey: string, flags: DataFlags & { origin?: string }) =>
      addLog(await openContext(io, flags), vkey, flags),
    )
}

async function init({ out, path }: Context, dir: string, { name }: { name: string }): Promise<void> {
  const { initWitness } = await import("@weighlock/registry")
  const data = path(dir)
  const { vkey } = await initWitness({ data, name })
  out.result({ json: { data, name, vkey }, text: vkey, digest: vkey })
  out.hint(`serve it: weighlock witness serve --data ${dir}`)
  out.hint(`a line for a trust root's policy: witness ${policyName(name)} ${vkey} https://${name.split("/")[0]}`)
}

/** A policy's own word for a witness needs no dots and slashes. */
function policyName(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9]+/g, "-")
}

async function serve({ out, path, io }: Context, flags: ServeFlags): Promise<void> {
  const { tlsCert, tlsKey } = flags
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw usage("--tls-cert and --tls-key go together")
  const { startWitness, watchedLogs } = await import("@weighlock/registry")
  const data = path(flags.data)
  const running = await startWitness({
    data,
    host: flags.host,
    port: portOf(flags.port),
    logLevel: flags.logLevel,
    ...(tlsCert === undefined || tlsKey === undefined ? {} : { tls: { cert: path(tlsCert), key: path(tlsKey) } }),
  })
  const { url, vkey } = running
  out.result({
    json: { url, pid: process.pid, vkey },
    text: `witness at ${url} (pid ${process.pid})\n${vkey}`,
  })
  const logs = await watchedLogs({ data })
  if (logs.length === 0) out.hint(`it witnesses no log yet: weighlock witness add-log VKEY --data ${flags.data}`)
  else out.note(`it witnesses ${counted(logs.length, "log")}: ${logs.map(({ origin }) => origin).join(", ")}`)
  await untilAborted(io.signal)
  await running.close()
}

async function addLog({ out, path }: Context, vkey: string, flags: DataFlags & { origin?: string }): Promise<void> {
  const { addLog: add } = await import("@weighlock/registry")
  const { origin, vkeys } = await add({
    data: path(flags.data),
    vkey,
    ...(flags.origin === undefined ? {} : { origin: flags.origin }),
  })
  out.result({
    json: { origin, vkeys },
    text: `witnesses ${origin} under ${counted(vkeys.length, "key")}`,
    digest: origin,
  })
}
