/** `weighlock log head|entry|proof|verify|export`: the log itself, nothing shown that was not verified. */
import type { ClientOptions, LogEntry, SeenHead } from "@weighlock/client"
import { encodeBase64 } from "@weighlock/manifest"
import type { Command } from "commander"
import {
  type CommonFlags,
  type ConnectionFlags,
  connection,
  type Context,
  fresh,
  openClient,
  openContext,
  trusting,
} from "../context.ts"
import { counted, instant, stateOf, witnessed } from "../describe.ts"
import { usage } from "../errors.ts"
import type { Io } from "../io.ts"
import { printable } from "../output.ts"

type Flags = CommonFlags & ConnectionFlags
type FileFlags = Flags & { readonly output?: string }

export function logCommand(program: Command, io: Io): void {
  const log = program.command("log").description("the registry's transparency log")

  connection(log.command("head"))
    .description("the newest state of the log, compared with what was seen of it before")
    .action(async (flags: Flags) => head(await openContext(io, flags), flags))

  connection(log.command("entry <index>"))
    .description("one entry, proven to be in the log: the exact bytes of its leaf")
    .option("--payload", "the payload that was signed, instead")
    .option("-o, --output <file>", "write it here")
    .action(async (index: string, flags: FileFlags & { payload?: boolean }) =>
      entry(await openContext(io, flags), index, flags),
    )

  connection(log.command("proof <index|reference>"))
    .description("a proof that an entry is in the log (c2sp.org/tlog-proof)")
    .option("-o, --output <file>", "write it here")
    .option("--entry <file>", "write the entry here, which whoever checks the proof needs")
    .action(async (what: string, flags: FileFlags & { entry?: string }) =>
      proof(await openContext(io, flags), what, flags),
    )

  fresh(trusting(log.command("verify <file>")))
    .description("check a proof or a receipt, offline")
    .option("--entry <file>", "the entry that the proof is of, as log entry -o writes it")
    .action(async (file: string, flags: Flags & { entry?: string }) => {
      const { verifyLogFile } = await import("../verify-log-file.ts")
      await verifyLogFile(await openContext(io, flags), file, flags)
    })

  connection(log.command("export <dir>"))
    .description("copy the whole log into a folder, which audit reads and any web server can serve")
    .action(async (folder: string, flags: Flags) => exportTo(await openContext(io, flags), folder, flags))
}

async function head(context: Context, flags: Flags): Promise<void> {
  const { logHead } = await import("@weighlock/client")
  const shown = await logHead(await openClient(context, flags))
  const { origin, size, root } = shown.checkpoint
  context.out.result({
    json: {
      origin,
      size,
      root: encodeBase64(root),
      quorum: shown.quorum,
      freshness: shown.freshness === null ? null : instant(shown.freshness),
      cosignatures: shown.cosignatures.map(({ name, vkey, time }) => ({
        name,
        vkey,
        at: instant(new Date(1000 * time)),
      })),
      seen: shown.before.size,
      checkpoint: shown.note,
    },
    text: [
      `origin     ${origin}`,
      `size       ${size}`,
      `root       ${encodeBase64(root)}`,
      `witnesses  ${witnessed(shown)}`,
      `seen       ${growth(shown)}`,
    ].join("\n"),
    digest: encodeBase64(root),
  })
}

function growth({ before, checkpoint }: SeenHead): string {
  if (before.size === 0) return "first contact with this log"
  if (before.size === checkpoint.size) return "unchanged since the last time"
  return `grown out of the ${counted(before.size, "entry", "entries")} seen before`
}

async function entry(context: Context, text: string, flags: FileFlags & { payload?: boolean }): Promise<void> {
  const { logEntry } = await import("@weighlock/client")
  const options = await openClient(context, flags)
  const found = await logEntry(indexOf(text), options)
  await (flags.payload === true ? writePayload(context, found, options, flags) : writeLeaf(context, found, flags))
  const { checkpoint } = found.head
  context.out.note(`entry ${found.index}, proven in ${checkpoint.origin}: ${stateOf(checkpoint)}`)
}

async function writeLeaf(
  context: Context,
  { index, hash, entry: bytes, proof: text }: LogEntry,
  flags: FileFlags,
): Promise<void> {
  await write(context, flags, bytes, {
    index,
    hash: encodeBase64(hash),
    entry: encodeBase64(bytes),
    leaf: JSON.parse(textOf(bytes)) as unknown,
    proof: text,
  })
}

async function writePayload(
  context: Context,
  { index, leaf }: LogEntry,
  options: ClientOptions,
  flags: FileFlags,
): Promise<void> {
  const { logPayload } = await import("@weighlock/client")
  const payload = await logPayload(leaf, options)
  const { type, sha256, size } = leaf.payload
  await write(context, flags, payload, { index, type, sha256, size, payload: encodeBase64(payload) })
}

async function proof(context: Context, what: string, flags: FileFlags & { entry?: string }): Promise<void> {
  const isIndex = /^\d+$/.test(what)
  const options = await openClient(context, flags, isIndex ? undefined : what)
  const { text, entry: leaf, json } = await (isIndex ? proofOfEntry(what, options) : proofOfVersion(what, options))
  if (flags.entry !== undefined) {
    const { replaceFile } = await import("../files.ts")
    context.io.signal.throwIfAborted()
    await replaceFile(context.path(flags.entry), leaf)
  }
  await write(context, flags, Buffer.from(text), { ...json, proof: text })
}

interface Proof {
  readonly text: string
  readonly entry: Uint8Array
  readonly json: Record<string, unknown>
}

async function proofOfEntry(text: string, options: ClientOptions): Promise<Proof> {
  const { logEntry } = await import("@weighlock/client")
  const { index, entry: leaf, proof: verified, head: under } = await logEntry(indexOf(text), options)
  return { text: verified, entry: leaf, json: { index, size: under.checkpoint.size } }
}

async function proofOfVersion(reference: string, options: ClientOptions): Promise<Proof> {
  const { showModel } = await import("@weighlock/client")
  const { manifest, bundle } = await showModel(reference, options)
  const { proof: verified = "", entry: leaf = new Uint8Array(0) } = bundle // verify has seen both
  return { text: verified, entry: leaf, json: { index: manifest.index, size: manifest.checkpoint.size } }
}

async function exportTo(context: Context, folder: string, flags: Flags): Promise<void> {
  const { exportLog } = await import("@weighlock/client")
  const exported = await exportLog(context.path(folder), await openClient(context, flags))
  context.progress.end()
  const { origin, size, root, entries, files } = exported
  context.out.result({
    json: { ...exported },
    text: [
      `exported ${origin}: ${counted(size, "entry", "entries")}, root ${root}`,
      `${counted(entries, "new entry", "new entries")}, ${counted(files, "file")} written to ${exported.folder}`,
    ].join("\n"),
    digest: root,
  })
  context.out.hint(`anyone can check it, without this registry: weighlock audit ${folder}`)
}

/** Exact bytes: to a file, or to stdout, unless that is a terminal, which must not be made to do anything by them. */
async function write(
  { io, out, path }: Context,
  { output, json }: FileFlags,
  bytes: Uint8Array,
  document: Record<string, unknown>,
): Promise<void> {
  if (output !== undefined) {
    const { replaceFile } = await import("../files.ts")
    io.signal.throwIfAborted()
    await replaceFile(path(output), bytes)
    out.result({ json: { ...document, output: path(output) }, text: `wrote ${path(output)}` })
    return
  }
  if (json === true) return out.result({ json: document, text: "" })
  io.signal.throwIfAborted()
  const text = textOf(bytes)
  io.stdout.write(io.stdout.isTTY === true ? `${text.trimEnd().split("\n").map(printable).join("\n")}\n` : text)
}

function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw usage("these bytes are no text", "write them to a file with -o FILE")
  }
}

function indexOf(text: string): number {
  const index = Number(text)
  if (!/^(?:0|[1-9]\d{0,15})$/.test(text) || !Number.isSafeInteger(index))
    throw usage(
      `${JSON.stringify(text)} is not an entry's index`,
      "the first entry is 0; weighlock log head says how many there are",
    )
  return index
}
