/**
 * Which witnesses must have cosigned a checkpoint before it counts (c2sp.org/tlog-policy).
 *
 *     witness X1 witness.example/x1+b8a2cf20+BFLN… https://x1.witness.example
 *     witness X2 witness.example/x2+3fb148ef+BAAj… https://x2.witness.example
 *     witness Y  witness.example/y+0c1d2e3f+BFLN…
 *     group X any X1 X2
 *     group both all X Y
 *     quorum both
 *
 * `quorum none` asks for nothing. A trust root's policy has no `log` lines: its log is named beside it.
 */
import { longestName } from "./cosignature.ts"
import { encodeHex, encodeUtf8 } from "./encoding.ts"
import { TlogError } from "./errors.ts"
import { formatSignatureLines, noteLimits } from "./note.ts"
import {
  ed25519CosignatureType,
  ed25519Type,
  mldsa44CosignatureType,
  parseVkey,
  type VerifierKey,
  vkeyFault,
} from "./vkey.ts"

/** A policy that can be written can be met: the cosignatures of all its witnesses fit in one note, beside 8 KiB of the log's. */
export const policyLimits: { readonly characters: number; readonly lines: number; readonly cosignatures: number } = {
  characters: 262_144,
  lines: 64,
  cosignatures: noteLimits.bytes - 8192,
}

export interface PolicyWitness {
  /** The policy's own word for it; the key's name is inside the vkey. */
  readonly name: string
  readonly vkey: string
  /** As written; by the specification the prefix to which `/add-checkpoint` is appended. */
  readonly url?: string
}

export interface PolicyLog {
  readonly vkey: string
  readonly url?: string
}

export interface PolicyGroup {
  readonly threshold: number
  readonly members: readonly Quorum[]
}

export type Quorum = PolicyWitness | PolicyGroup

export interface Policy {
  readonly logs: readonly PolicyLog[]
  readonly witnesses: readonly PolicyWitness[]
  /** `null`: none is asked for. */
  readonly quorum: Quorum | null
}

/** Throws MALFORMED. At most 64 lines of each kind, and no more witnesses than can cosign one checkpoint. */
export function parsePolicy(text: string): Policy {
  const draft: Draft = { logs: [], witnesses: [], names: new Map(), grouped: new Set(), keys: new Set(), bytes: 0 }
  for (const line of linesOf(text)) {
    const words = line.split(/[ \t]+/).filter((word) => word !== "")
    if (words.length === 0 || words[0]?.startsWith("#")) continue
    readLine(draft, words, line)
  }
  if (draft.quorum === undefined) throw malformed("has no quorum line")
  return { logs: draft.logs, witnesses: draft.witnesses, quorum: draft.quorum }
}

/** A policy for a log that is known from elsewhere, as in a trust root. Throws MALFORMED, for `log` lines too. */
export function parseWitnessPolicy(text: string): Policy {
  const policy = parsePolicy(text)
  if (policy.logs.length > 0) throw malformed("names a log, and this log is named elsewhere")
  return policy
}

export interface QuorumVerdict {
  readonly met: boolean
  /** The largest POSIX time t such that cosignatures dated t or later meet the quorum; `null` when none do or none are asked for. */
  readonly freshness: number | null
}

/** `times`: the date of the newest verified cosignature of a witness, by its vkey. */
export function judgeQuorum({ quorum }: Policy, times: ReadonlyMap<string, number>): QuorumVerdict {
  if (quorum === null) return { met: true, freshness: null }
  const time = timeOf(quorum, times)
  return time < 0 ? { met: false, freshness: null } : { met: true, freshness: time }
}

/** A group is as fresh as its threshold-th freshest member: fewer are newer. -1 for never. */
function timeOf(quorum: Quorum, times: ReadonlyMap<string, number>): number {
  if ("vkey" in quorum) return times.get(quorum.vkey) ?? -1
  const members = quorum.members.map((member) => timeOf(member, times)).sort((a, b) => b - a)
  return members[quorum.threshold - 1] ?? -1
}

interface Draft {
  readonly logs: PolicyLog[]
  readonly witnesses: PolicyWitness[]
  readonly names: Map<string, Quorum>
  readonly grouped: Set<string>
  /** Of logs and of witnesses, each by kind, public key and by name with id. */
  readonly keys: Set<string>
  /** Of the signature lines of all witnesses. */
  bytes: number
  quorum?: Quorum | null
}

function linesOf(text: string): string[] {
  if (text.length > policyLimits.characters) throw malformed(`has more than ${policyLimits.characters} characters`)
  // oxlint-disable-next-line no-control-regex -- tab and line feed are the only control characters a policy may hold
  if (!text.isWellFormed() || /[\u0000-\u0008\u000b-\u001f\u007f]/.test(text)) {
    throw malformed("holds a control character or is not well-formed")
  }
  const lines = text.split("\n")
  if (lines.pop() !== "") throw malformed("does not end in a line feed")
  return lines
}

function readLine(draft: Draft, [keyword, ...words]: readonly string[], line: string): void {
  if (keyword === "log") readLog(draft, words, line)
  else if (keyword === "witness") readWitness(draft, words, line)
  else if (keyword === "group") readGroup(draft, words, line)
  else if (keyword === "quorum") readQuorum(draft, words, line)
  else throw malformedLine(line, "begins with none of log, witness, group and quorum")
}

function readLog(draft: Draft, [vkey = "", url, ...more]: readonly string[], line: string): void {
  if (more.length > 0 || draft.logs.length >= policyLimits.lines) throw malformedLine(line, "is one too many")
  claimKey(draft, "log", vkey, line, [ed25519Type, mldsa44CosignatureType])
  draft.logs.push(url === undefined ? { vkey } : { vkey, url })
}

function readWitness(draft: Draft, [name = "", vkey = "", url, ...more]: readonly string[], line: string): void {
  if (more.length > 0 || draft.witnesses.length >= policyLimits.lines) throw malformedLine(line, "is one too many")
  claimRoom(draft, claimKey(draft, "witness", vkey, line, [ed25519CosignatureType, mldsa44CosignatureType]), line)
  const witness = url === undefined ? { name, vkey } : { name, vkey, url }
  claimName(draft, name, witness, line)
  draft.witnesses.push(witness)
}

function readGroup(draft: Draft, [name = "", wanted = "", ...names]: readonly string[], line: string): void {
  if (draft.names.size - draft.witnesses.length >= policyLimits.lines) throw malformedLine(line, "is one too many")
  const members = names.map((member) => memberOf(draft, member, line))
  const threshold = wanted === "any" ? 1 : wanted === "all" ? members.length : Number(wanted)
  if (!/^(?:any|all|[1-9][0-9]*)$/.test(wanted) || threshold < 1 || threshold > members.length) {
    throw malformedLine(line, `asks for ${JSON.stringify(wanted)} of ${members.length} members`)
  }
  claimName(draft, name, { threshold, members }, line)
}

function readQuorum(draft: Draft, [name = "", ...more]: readonly string[], line: string): void {
  if (draft.quorum !== undefined || more.length > 0) throw malformedLine(line, "is one too many")
  const quorum = name === "none" ? null : draft.names.get(name)
  if (quorum === undefined) throw malformedLine(line, "names what no line before it defines")
  draft.quorum = quorum
}

/** Each name counts in one group only, so that a witness adds to a quorum in one way only. */
function memberOf(draft: Draft, name: string, line: string): Quorum {
  const member = draft.names.get(name)
  if (member === undefined) throw malformedLine(line, `names ${JSON.stringify(name)}, which no line before it defines`)
  if (draft.grouped.has(name)) throw malformedLine(line, `lists ${JSON.stringify(name)}, which is in a group already`)
  draft.grouped.add(name)
  return member
}

function claimName(draft: Draft, name: string, what: Quorum, line: string): void {
  if (name === "" || name === "none" || draft.names.has(name)) {
    throw malformedLine(line, `gives the name ${JSON.stringify(name)}, which is taken`)
  }
  draft.names.set(name, what)
}

function claimRoom(draft: Draft, { name, id, type }: VerifierKey, line: string): void {
  const isMldsa44 = type === mldsa44CosignatureType
  if (isMldsa44 && encodeUtf8(name).length > longestName) throw malformedLine(line, "names a key that can't cosign")
  const bytes = new Uint8Array(8 + (isMldsa44 ? 2420 : 64))
  draft.bytes += encodeUtf8(formatSignatureLines([{ name, id, bytes }])).length
  if (draft.bytes > policyLimits.cosignatures) {
    throw malformedLine(line, `has a witness too many: their cosignatures don't fit in ${noteLimits.bytes} bytes`)
  }
}

function claimKey(draft: Draft, kind: string, vkey: string, line: string, types: readonly number[]): VerifierKey {
  const key = parseVkey(vkey)
  if (key === null || !types.includes(key.type))
    throw malformedLine(line, `has no verifier key that a ${kind} may have`)
  const fault = vkeyFault(key)
  if (fault !== null) throw malformedLine(line, `has a key that ${fault}`)
  for (const claim of claimsOf(key)) {
    if (draft.keys.has(`${kind} ${claim}`)) throw malformedLine(line, "has a key that another line has")
    draft.keys.add(`${kind} ${claim}`)
  }
  return key
}

/** The same public key under two names would count twice; two keys under one name and id could not be told apart. */
function claimsOf({ name, id, publicKey }: VerifierKey): string[] {
  return [encodeHex(publicKey), `${name}+${id}`]
}

function malformedLine(line: string, what: string): TlogError {
  return malformed(`has a line that ${what}: ${JSON.stringify(line.slice(0, 200))}`)
}

function malformed(what: string): TlogError {
  return new TlogError("MALFORMED", `the witness policy ${what}`)
}
