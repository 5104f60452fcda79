/**
 * How far a monitor has read, and what it knows of the names it watches. Saved only after the alerts up to there were
 * delivered: a monitor that dies repeats an alert, and never skips one.
 *
 *     {"before":null,"checkedAt":1795435200123,"done":1042,"models":{"acme/mnist":{"leaf":"nND/…","seq":6}},
 *      "note":"models.acme.example/log\n1042\n…","owned":["acme/*"],"pin":"4d3c…","schema":1,
 *      "standing":["STALE"],"trust":"<the trust root, base64>"}
 */
import { canonicalJson, encodeBase64, openTrustChain, parseCanonical, type TrustChain } from "@weighlock/manifest"
import { makeFolder, replaceFile } from "@weighlock/node"
import { type Checkpoint, emptyCheckpoint, type Hash, openCheckpoint } from "@weighlock/tlog"
import { dirname } from "node:path"
import { readBounded } from "../audit/source.ts"
import { ClientError } from "../errors.ts"
import { asMembers, bytesOf, countOf, listOf, textOf } from "../json-answer.ts"

/** Of the cursor file; it holds one line for each name that is watched. */
const largest = 2 ** 29

export interface Cursor {
  /** Patterns of the names that are watched. */
  owned: readonly string[]
  /**
   * After a pattern was added the log is read again from its beginning: up to `done` it was read before, and what concerns
   * `owned` was delivered.
   */
  before: { readonly done: number; readonly owned: readonly string[] } | null
  /** The state of the log that was last verified; `null` before the first. */
  note: string | null
  checkpoint: Checkpoint
  /** Entries read, each with its alerts delivered. */
  done: number
  /** When everything up to a witnessed state of the log was last read, ms; before the first time, when the watch began. */
  checkedAt: number
  /** Newest entry of each name that is watched. */
  readonly models: Map<string, { readonly seq: number; readonly leaf: Hash }>
  /** Ids of alerts about a state that lasts: delivered once. */
  readonly standing: Set<string>
}

/** A new one where there is no file. Throws STATE_DAMAGED, STATE_UNUSABLE; USAGE for a cursor of another log. */
export async function readCursor(
  path: string,
  trustChain: TrustChain,
  owned: readonly string[],
  now: number,
): Promise<Cursor> {
  const bytes = await readBounded(path, largest).catch((error: unknown) => {
    const { code } = error as { code?: unknown }
    if (code === "NOT_FOUND") return null
    throw code === "TOO_LARGE" ? damaged(path, error) : unusable(path, error)
  })
  if (bytes === null) return freshCursor(trustChain, owned, now)
  const members = readMembers(path, bytes)
  if (members["pin"] !== pinOf(trustChain))
    throw new ClientError("USAGE", `${path} is the cursor of a monitor under another trust root`, {
      hint: "give each trust root a cursor of its own",
    })
  try {
    return watching(parseCursor(members, trustChain), owned)
  } catch (error) {
    throw damaged(path, error)
  }
}

/** Of a name that was not watched before nothing is known: all of it is still to be read. */
function watching(cursor: Cursor, owned: readonly string[]): Cursor {
  const added = owned.some((pattern) => !cursor.owned.includes(pattern))
  if (!added) return { ...cursor, owned }
  const before = { done: cursor.done, owned: cursor.owned }
  return { ...cursor, owned, before, done: 0, models: new Map() }
}

/** The trust root that an earlier run has kept, if it is the pinned one. */
export async function trustInCursor(path: string, digest: string): Promise<TrustChain | null> {
  try {
    const members = asMembers(parseCanonical(await readBounded(path, largest), what), what)
    return openTrustChain([bytesOf(members, "trust", what)], { by: "digest", digest })
  } catch {
    return null // what is wrong with the file, `readCursor` says
  }
}

/** Durable once it resolves. */
export async function saveCursor(path: string, cursor: Cursor, trustChain: TrustChain): Promise<void> {
  const { note, done, checkedAt, models, standing, owned, before } = cursor
  const bytes = canonicalJson({
    schema: 1,
    pin: pinOf(trustChain),
    trust: encodeBase64(trustChain.envelopes[0] ?? new Uint8Array(0)),
    note: note ?? "",
    done,
    checkedAt,
    models: Object.fromEntries([...models].map(([model, { seq, leaf }]) => [model, { seq, leaf: encodeBase64(leaf) }])),
    standing: [...standing],
    owned: [...owned],
    before: before === null ? null : { done: before.done, owned: [...before.owned] },
  })
  try {
    await makeFolder(dirname(path))
    await replaceFile(path, bytes)
  } catch (error) {
    throw unusable(path, error)
  }
}

function freshCursor({ current }: TrustChain, owned: readonly string[], now: number): Cursor {
  const checkpoint = emptyCheckpoint(current.log.origin)
  return {
    owned,
    before: null,
    note: null,
    checkpoint,
    done: 0,
    checkedAt: now,
    models: new Map(),
    standing: new Set(),
  }
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
  const before = members["before"] === null ? null : asMembers(members["before"], what)
  return {
    owned: patternsOf(members),
    before: before === null ? null : { done: countOf(before, "done", what), owned: patternsOf(before) },
    note: note === "" ? null : note,
    checkpoint,
    done,
    checkedAt: countOf(members, "checkedAt", what),
    models: new Map(models),
    standing: new Set(listOf(members, "standing", what).map(String)),
  }
}

function patternsOf(members: Members): readonly string[] {
  return listOf(members, "owned", what).map(String)
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
