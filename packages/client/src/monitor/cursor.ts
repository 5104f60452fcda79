/**
 * How far a monitor has read, and what it knows of the names it watches. Saved only after the alerts up to there were
 * delivered: a monitor that dies repeats an alert, and never skips one.
 *
 *     {"checkedAt":1795435200123,"done":1042,"models":{"acme/mnist":{"leaf":"nND/…","seq":6}},
 *      "note":"models.acme.example/log\n1042\n…","pin":"4d3c…","schema":1,"standing":["STALE"]}
 */
import { canonicalJson, encodeBase64, parseCanonical, type TrustChain } from "@weighlock/manifest"
import { type Checkpoint, emptyCheckpoint, type Hash, openCheckpoint } from "@weighlock/tlog"
import { dirname } from "node:path"
import { readBounded } from "../audit/source.ts"
import { makeFolder, replaceFile } from "../durable.ts"
import { ClientError } from "../errors.ts"
import { asMembers, bytesOf, countOf, listOf, textOf } from "../json-answer.ts"

/** Of the cursor file; it holds one line for each name that is watched. */
const largest = 2 ** 26

export interface Cursor {
  /** The state of the log that was last verified; `null` before the first. */
  note: string | null
  checkpoint: Checkpoint
  /** Entries read, each with its alerts delivered. */
  done: number
  /** When the log last answered with something that held, ms. */
  checkedAt: number
  /** Newest entry of each name that is watched. */
  readonly models: Map<string, { readonly seq: number; readonly leaf: Hash }>
  /** Ids of alerts about a state that lasts: delivered once. */
  readonly standing: Set<string>
}

/** A new one where there is no file. Throws STATE_DAMAGED, STATE_UNUSABLE; USAGE for a cursor of another log. */
export async function readCursor(path: string, trustChain: TrustChain, now: number): Promise<Cursor> {
  const bytes = await readBounded(path, largest).catch((error: unknown) => {
    const { code } = error as { code?: unknown }
    if (code === "NOT_FOUND") return null
    throw code === "TOO_LARGE" ? damaged(path, error) : unusable(path, error)
  })
  if (bytes === null) return freshCursor(trustChain, now)
  const members = readMembers(path, bytes)
  if (members["pin"] !== pinOf(trustChain))
    throw new ClientError("USAGE", `${path} is the cursor of a monitor under another trust root`, {
      hint: "give each trust root a cursor of its own",
    })
  try {
    return parseCursor(members, trustChain)
  } catch (error) {
    throw damaged(path, error)
  }
}

/** Durable once it resolves. */
export async function saveCursor(path: string, cursor: Cursor, trustChain: TrustChain): Promise<void> {
  const { note, done, checkedAt, models, standing } = cursor
  const bytes = canonicalJson({
    schema: 1,
    pin: pinOf(trustChain),
    note: note ?? "",
    done,
    checkedAt,
    models: Object.fromEntries([...models].map(([model, { seq, leaf }]) => [model, { seq, leaf: encodeBase64(leaf) }])),
    standing: [...standing],
  })
  try {
    await makeFolder(dirname(path))
    await replaceFile(path, bytes)
  } catch (error) {
    throw unusable(path, error)
  }
}

function freshCursor({ current }: TrustChain, now: number): Cursor {
  const checkpoint = emptyCheckpoint(current.log.origin)
  return { note: null, checkpoint, done: 0, checkedAt: now, models: new Map(), standing: new Set() }
}

type Members = ReturnType<typeof asMembers>
const what = "the cursor"

function readMembers(path: string, bytes: Uint8Array): Members {
  try {
    const members = asMembers(parseCanonical(bytes, what), what)
    if (members["schema"] === 1) return members
  } catch (error) {
    throw damaged(path, error)
  }
  throw damaged(path)
}

function parseCursor(members: Members, { current }: TrustChain): Cursor {
  const note = textOf(members, "note", what)
  const checkpoint = note === "" ? emptyCheckpoint(current.log.origin) : openCheckpoint(note, current.log)
  const done = countOf(members, "done", what)
  if (done > checkpoint.size) throw new Error("it has read more than there is")
  const models = Object.entries(asMembers(members["models"], what)).map(([model, head]) => {
    const own = asMembers(head, what)
    return [model, { seq: countOf(own, "seq", what), leaf: bytesOf(own, "leaf", what) }] as const
  })
  return {
    note: note === "" ? null : note,
    checkpoint,
    done,
    checkedAt: countOf(members, "checkedAt", what),
    models: new Map(models),
    standing: new Set(listOf(members, "standing", what).map(String)),
  }
}

function pinOf({ roots, current }: TrustChain): string {
  return roots[0]?.digest ?? current.digest
}

function damaged(path: string, cause?: unknown): ClientError {
  return new ClientError("STATE_DAMAGED", `${path} is not a monitor's cursor any more`, {
    cause,
    hint: "find out who changed it; without it the monitor begins at entry 0 and repeats its alerts",
  })
}

function unusable(path: string, cause: unknown): ClientError {
  const why = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message
  return new ClientError("STATE_UNUSABLE", `cannot keep the cursor ${path}: ${why}`, { cause })
}
