/**
 * The rules of a registry's history, by name. The registry refuses to log what breaks one; an audit names the index and
 * the rule of whatever broke one nevertheless.
 *
 * The first four are about bytes and signatures, and a finding is LOG_INVALID; the others are about what may follow what,
 * and a finding is RULE_BROKEN.
 */
import { type CodedErrorOptions, ManifestError } from "./errors.ts"

export const auditRules = {
  leaf: "an entry is a leaf of format v1: canonical JSON, at most 16 KiB",
  payload: "the payload has the size and the SHA-256 that its entry names",
  signature: "every signature by a known key holds over the payload",
  genesis: "entry 0 names this log, one of its keys, and trust root version 1 by its SHA-256",
  operation:
    "the operation is one that this version knows, and may stand at its index: 0 genesis, 1 trust, then publish",
  time: "at, the time in an entry, never decreases",
  content: "the payload is a well-formed record of the kind its entry names",
  trust: "entry 1 is trust root version 1, with the signatures its root role asks for",
  registry: "a manifest is for this registry",
  subject: "model and subject of an entry are those that its payload names",
  sequence: "seq counts the entries of a model from 0, without a gap",
  previous: "prev is the leaf hash of the model's entry before, and empty at seq 0",
  binding: "a model and version bind one manifest, once, for ever",
  stranger: "every signature is by a key that the trust root in force lists",
  threshold: "enough distinct publish keys of the first namespace that matches have signed",
  expiry: "the trust root in force had not expired",
} as const

export type AuditRule = keyof typeof auditRules

const ofTheLog: ReadonlySet<AuditRule> = new Set<AuditRule>(["leaf", "payload", "signature", "genesis"])

/** An entry that breaks a rule. */
export class HistoryError extends ManifestError {
  readonly rule: AuditRule
  constructor(rule: AuditRule, message: string, options: CodedErrorOptions = {}) {
    super(ofTheLog.has(rule) ? "LOG_INVALID" : "RULE_BROKEN", message, options)
    this.rule = rule
  }
}
