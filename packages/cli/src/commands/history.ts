/** `weighlock history ns/name`: who published what, when, each entry proven to be in the log. */
import type { HistoryEntry, ModelHistory } from "@weighlock/client"
import type { TrustRoot } from "@weighlock/manifest"
import type { Command } from "commander"
import {
  type CommonFlags,
  type ConnectionFlags,
  connection,
  type Context,
  openClient,
  openContext,
} from "../context.ts"
import { counted, instant, keyName, labelsOf, stateOf } from "../describe.ts"
import type { Io } from "../io.ts"

export function historyCommand(program: Command, io: Io): void {
  connection(program.command("history <model>"))
    .description("what the log holds of a model, each entry proven")
    .action(async (model: string, flags: CommonFlags & ConnectionFlags) => {
      const context = await openContext(io, flags)
      const { modelHistory, readTrust } = await import("@weighlock/client")
      const options = await openClient(context, flags)
      const history = await modelHistory(model, options)
      context.progress.end()
      report(context, history, (await readTrust(options.trust))?.current)
    })
}

function report({ out }: Context, { model, checkpoint, entries }: ModelHistory, root: TrustRoot | undefined): void {
  out.result({
    json: {
      model,
      origin: checkpoint.origin,
      size: checkpoint.size,
      entries: entries.map((entry) => ({
        index: entry.index,
        seq: entry.seq,
        at: instant(entry.at),
        op: entry.op,
        subject: entry.subject,
        manifest: `sha256:${entry.digest}`,
        signers: entry.signers,
        labels: labelsOf(root, entry.signers),
      })),
    },
    text: lines(entries, root).join("\n"),
    lines: entries.map(({ digest }) => `sha256:${digest}`),
  })
  out.note(
    `${counted(entries.length, "entry", "entries")} of ${checkpoint.origin}, proven in its ${stateOf(checkpoint)}`,
  )
}

function lines(entries: readonly HistoryEntry[], root: TrustRoot | undefined): string[] {
  const indexWidth = widest(entries, ({ index }) => String(index))
  const subjectWidth = widest(entries, ({ subject }) => subject)
  return entries.map(({ index, at, op, subject, digest, signers }) => {
    const by = signers.map((keyid) => keyName(root, keyid)).join(", ")
    return `${String(index).padStart(indexWidth)}  ${instant(at)}  ${op}  ${subject.padEnd(subjectWidth)}  sha256:${digest.slice(0, 12)}…  by ${by}`
  })
}

/** A model may have more versions than a call takes arguments. */
function widest(entries: readonly HistoryEntry[], text: (entry: HistoryEntry) => string): number {
  return entries.reduce((most, entry) => Math.max(most, text(entry).length), 0)
}
