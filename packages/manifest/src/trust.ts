/**
 * The trust root: which keys may do what, in which namespaces, and which log counts. A signed record, kept by the
 * consumer and pinned by the SHA-256 of its first version's payload.
 *
 *     {"type":"trust-root","schema":1,"registry":"models.acme.example","version":1,"expires":"2027-11-23T00:00:00Z",
 *      "keys":{"<keyid>":{"type":"ed25519","public":"<base64>","label":"alice"}},
 *      "roles":{"root":{"threshold":1,"keys":["<keyid>"]}},
 *      "log":{"origin":"models.acme.example/log","vkeys":["models.acme.example/log+…"],"policy":"quorum none\n"},
 *      "namespaces":[{"pattern":"acme/*","publish":{"threshold":1,"keys":["<keyid>"]},"promote":{…},"epoch":0}]}
 *
 * First matching pattern wins; no match denies.
 */
import { ed25519Type, parseVkey, parseWitnessPolicy, TlogError } from "@weighlock/tlog"
import { decodeBase64, isSha256Hex, sha256Hex } from "./encoding.ts"
import { invalid, ManifestError, tooLarge } from "./errors.ts"
import { type JsonValue, parseCanonical } from "./json.ts"
import { enrolKey, type PublicKey } from "./keys.ts"
import { limits } from "./limits.ts"
import { isSegment, parseOrigin } from "./names.ts"
import { asArray, asExactly, asInteger, asObject, asString, fields } from "./shape.ts"
import { parseTime } from "./time.ts"

export const trustRootPayloadType = "application/vnd.weighlock.trust-root.v1+json"

/** At least `threshold` distinct of `keys` must sign. */
export interface Role {
  readonly threshold: number
  readonly keys: readonly string[]
}

export interface TrustedKey {
  readonly key: PublicKey
  readonly label?: string
  /** Counts only for log entries before this size. */
  readonly retiredAt?: { readonly size: number; readonly root: string }
  /** Counts for nothing, ever. */
  readonly compromised?: true
}

export interface Namespace {
  readonly pattern: string
  readonly publish: Role
  readonly promote: Role
  readonly epoch: number
}

export interface TrustRoot {
  /** SHA-256 of the payload, hex: the pin when `version` is 1. */
  readonly digest: string
  readonly registry: string
  readonly version: number
  readonly previous?: string
  readonly expires: Date
  readonly keys: ReadonlyMap<string, TrustedKey>
  readonly root: Role
  readonly log: { readonly origin: string; readonly vkeys: readonly string[]; readonly policy: string }
  readonly namespaces: readonly Namespace[]
}

/** Form only; `openTrustChain` verifies. Throws MANIFEST_INVALID, TOO_LARGE or KEY_WEAK. */
export function parseTrustRoot(payload: Uint8Array): TrustRoot {
  if (payload.length > limits.trustRoot) {
    throw tooLarge(`the trust root has ${payload.length} bytes`, limits.trustRoot)
  }
  const required = ["type", "schema", "registry", "version", "expires", "keys", "roles", "log", "namespaces"] as const
  const own = fields(parseCanonical(payload, "the trust root"), "the trust root", required, ["previous"])
  asExactly(own.type, "type", "trust-root")
  asExactly(own.schema, "schema", 1)
  const registry = parseOrigin(asString(own.registry, "registry"))
  const keys = parseKeys(own.keys)
  const version = asInteger(own.version, "version", 1)
  return {
    digest: sha256Hex(payload),
    registry,
    version,
    ...parsePrevious(own.previous, version),
    expires: parseTime(asString(own.expires, "expires"), "expires"),
    keys,
    root: parseRole(fields(own.roles, "roles", ["root"]).root, "roles.root", keys),
    log: parseLog(own.log, registry),
    namespaces: parseNamespaces(own.namespaces, keys),
  }
}

/** The first namespace whose pattern matches, or `null`: no one may publish there. */
export function namespaceOf(trust: TrustRoot, model: string): Namespace | null {
  return trust.namespaces.find(({ pattern }) => patternMatches(pattern, model)) ?? null
}

export function patternMatches(pattern: string, model: string): boolean {
  const [wanted, found] = [pattern.split("/"), model.split("/")]
  return wanted.length === found.length && wanted.every((segment, at) => segmentMatches(segment, found[at] ?? ""))
}

function segmentMatches(pattern: string, segment: string): boolean {
  return pattern.endsWith("*") ? segment.startsWith(pattern.slice(0, -1)) : pattern === segment
}

/** `acme/*`: what `patternMatches` takes. */
export function isPattern(text: string): boolean {
  const segments = text.split("/")
  return (
    segments.length === 2 &&
    segments.every((segment) => isSegment(segment) || /^(?:[a-z0-9][a-z0-9._-]{0,62})?\*$/.test(segment))
  )
}

function parsePrevious(value: JsonValue | undefined, version: number): { previous?: string } {
  if (version === 1 && value === undefined) return {}
  const previous = asString(value, "previous")
  if (version === 1 || !isSha256Hex(previous))
    throw invalid("previous is there exactly from version 2 on, as 64 hex digits")
  return { previous }
}

function parseKeys(value: JsonValue): Map<string, TrustedKey> {
  const members = Object.entries(asObject(value, "keys"))
  if (members.length > limits.keys) throw tooLarge(`the trust root lists ${members.length} keys`, limits.keys)
  return new Map(members.map(([keyid, member]) => [keyid, parseKey(member, keyid)]))
}

function parseKey(value: JsonValue, keyid: string): TrustedKey {
  const what = `key ${keyid}`
  const own = fields(value, what, ["type", "public"], ["label", "retiredAt", "compromised"])
  if (own.type !== "ed25519" && own.type !== "ecdsa-p256") throw invalid(`${what} has an unknown type`)
  const key = enrolKey(own.type, decodeBase64(asString(own.public, "public"), "public"))
  if (key.keyid !== keyid) throw invalid(`${what} is listed under an id that is not its own: it is ${key.keyid}`)
  if (own.compromised !== undefined) asExactly(own.compromised, "compromised", true)
  return {
    key,
    ...(own.label === undefined ? {} : { label: parseLabel(asString(own.label, "label")) }),
    ...(own.retiredAt === undefined ? {} : { retiredAt: parseRetired(own.retiredAt) }),
    ...(own.compromised === undefined ? {} : { compromised: true as const }),
  }
}

/** A human name for a key: letters, digits and . _ - @, at most 64. */
export function parseLabel(text: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(text))
    throw invalid(
      `${JSON.stringify(text)} is not a key label`,
      "use letters, digits, and . _ - @, at most 64 characters",
    )
  return text
}

function parseRetired(value: JsonValue): { size: number; root: string } {
  const own = fields(value, "retiredAt", ["size", "root"])
  const root = asString(own.root, "retiredAt.root")
  if (decodeBase64(root, "retiredAt.root").length !== 32) throw invalid("retiredAt.root is not 32 bytes")
  return { size: asInteger(own.size, "retiredAt.size"), root }
}

function parseRole(value: JsonValue, what: string, known: ReadonlyMap<string, TrustedKey>): Role {
  const own = fields(value, what, ["threshold", "keys"])
  const keys = asArray(own.keys, `${what}.keys`).map((keyid) => asString(keyid, `${what}.keys`))
  for (const keyid of keys) {
    const trusted = known.get(keyid)
    if (trusted === undefined) throw invalid(`${what} lists the key ${JSON.stringify(keyid)}, which is not among keys`)
    if (trusted.compromised) throw invalid(`${what} lists the compromised key ${keyid}`)
  }
  if (new Set(keys).size !== keys.length) throw invalid(`${what} lists a key twice`)
  const threshold = asInteger(own.threshold, `${what}.threshold`, 1)
  if (threshold > keys.length) throw invalid(`${what} asks for ${threshold} of ${keys.length} keys`)
  return { threshold, keys }
}

function parseNamespaces(value: JsonValue, keys: ReadonlyMap<string, TrustedKey>): Namespace[] {
  return asArray(value, "namespaces").map((member) => {
    const own = fields(member, "a namespace", ["pattern", "publish", "promote", "epoch"])
    const pattern = asString(own.pattern, "pattern")
    if (!isPattern(pattern))
      throw invalid(
        `${JSON.stringify(pattern)} is not a pattern`,
        "write <segment>/<segment>, each a literal, prefix* or *",
      )
    return {
      pattern,
      publish: parseRole(own.publish, `${pattern} publish`, keys),
      promote: parseRole(own.promote, `${pattern} promote`, keys),
      epoch: asInteger(own.epoch, "epoch"),
    }
  })
}

function parseLog(value: JsonValue, registry: string): TrustRoot["log"] {
  const own = fields(value, "log", ["origin", "vkeys", "policy"])
  const origin = asExactly(own.origin, "log.origin", `${registry}/log`)
  const list = asArray(own.vkeys, "log.vkeys")
  if (list.length > limits.logKeys) throw tooLarge(`the log has ${list.length} keys`, limits.logKeys)
  const vkeys = list.map((text) => parseLogKey(asString(text, "log.vkeys"), origin))
  if (vkeys.length === 0 || new Set(vkeys).size !== vkeys.length)
    throw invalid("log.vkeys is empty or names a key twice")
  return { origin, vkeys, policy: parsePolicyText(asString(own.policy, "log.policy")) }
}

/** c2sp.org/tlog-policy without `log` lines: the log is named beside it. */
function parsePolicyText(text: string): string {
  try {
    parseWitnessPolicy(text)
    return text
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new ManifestError("MANIFEST_INVALID", `log.policy: ${cause.message}`, { cause })
  }
}

function parseLogKey(text: string, origin: string): string {
  const key = parseVkey(text)
  if (key?.name !== origin || key.type !== ed25519Type)
    throw invalid(`${JSON.stringify(text)} is not a verifier key of ${origin}`)
  enrolKey("ed25519", key.publicKey)
  return text
}
