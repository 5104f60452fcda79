/**
 * X.509 certificates made on the spot, also such as no authority would issue: `issue({ subject, key, issuer, … })`.
 * Written by hand (RFC 5280 §4.1), so that a test needs no openssl and can set every field.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto"

export interface Made {
  readonly subject: string
  readonly key: KeyObject
  readonly der: Buffer
}

export interface Wish {
  readonly subject: string
  readonly key?: KeyObject
  /** Absent: signed by itself. */
  readonly issuer?: Made
  readonly from?: Date
  readonly to?: Date
  readonly authority?: boolean
  readonly pathLength?: number
  /** First byte of KeyUsage: 0x80 digitalSignature, 0x04 keyCertSign. `null` leaves it out. */
  readonly usage?: number | null
  /** DNS names that it is for. */
  readonly names?: readonly string[]
  /** DER content of the purposes. `null` leaves them out. */
  readonly purposes?: readonly string[] | null
  /** Further extensions: hex of the identifier, and whether it is critical. */
  readonly extensions?: readonly { readonly oid: string; readonly critical: boolean; readonly value: Buffer }[]
  readonly hash?: "sha1" | "sha256"
  /** Signs with this key instead of the issuer's. */
  readonly forger?: KeyObject
}

export const codeSigning = "2b06010505070303"
export const serverAuth = "2b06010505070301"

export function ecKey(namedCurve = "P-256"): KeyObject {
  return generateKeyPairSync("ec", { namedCurve }).privateKey
}

const day = 86_400_000

export function issue(wish: Wish): Made {
  const key = wish.key ?? ecKey()
  const hash = wish.hash ?? "sha256"
  const algorithm = seq(der(0x06, hex(hash === "sha1" ? "2a8648ce3d0401" : "2a8648ce3d040302")))
  const from = wish.from ?? new Date(Date.now() - day)
  const tbs = seq(
    der(0xa0, der(0x02, Buffer.of(2))),
    der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
    algorithm,
    name(wish.issuer?.subject ?? wish.subject),
    seq(time(from), time(wish.to ?? new Date(from.getTime() + 365 * day))),
    name(wish.subject),
    createPublicKey(key).export({ type: "spki", format: "der" }),
    der(0xa3, seq(...extensionsOf(wish))),
  )
  const signature = sign(hash, tbs, wish.forger ?? wish.issuer?.key ?? key)
  return { subject: wish.subject, key, der: seq(tbs, algorithm, der(0x03, Buffer.of(0), signature)) }
}

export function pemOf({ der }: Made): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`
}

function extensionsOf({ authority = false, pathLength, usage, names, purposes, extensions = [] }: Wish): Buffer[] {
  const own: Buffer[] = [
    extension("551d13", true, seq(...constraintsOf(authority, pathLength))),
    ...extensions.map(({ oid, critical, value }) => extension(oid, critical, value)),
  ]
  if (usage !== null) own.push(extension("551d0f", true, der(0x03, Buffer.of(0, usage ?? (authority ? 0x04 : 0x80)))))
  if (names !== undefined) {
    const each = names.map((dns) => der(0x82, Buffer.from(dns)))
    own.push(extension("551d11", false, seq(...each)))
  }
  const meant = purposes === undefined ? (authority ? null : [codeSigning]) : purposes
  if (meant !== null) own.push(extension("551d25", false, seq(...meant.map((oid) => der(0x06, hex(oid))))))
  return own
}

function constraintsOf(authority: boolean, pathLength: number | undefined): Buffer[] {
  if (!authority) return []
  return [der(0x01, Buffer.of(0xff)), ...(pathLength === undefined ? [] : [der(0x02, Buffer.of(pathLength))])]
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return seq(der(0x06, hex(oid)), ...(critical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value))
}

function name(text: string): Buffer {
  return seq(der(0x31, seq(der(0x06, hex("550403")), der(0x0c, Buffer.from(text)))))
}

function time(date: Date): Buffer {
  return der(0x18, Buffer.from(`${date.toISOString().replaceAll(/[-:T]/g, "").slice(0, 14)}Z`))
}

function seq(...members: readonly Uint8Array[]): Buffer {
  return der(0x30, ...members)
}

function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  const { length } = body
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...size), body])
}

function hex(text: string): Buffer {
  return Buffer.from(text, "hex")
}
