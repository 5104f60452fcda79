/**
 * Private keys that are not text, by their structure and whatever they are called.
 *
 *     30 82 … 02 01 03 30 … 06 09 2a864886f70d0107 …           PKCS#12
 *     30 … 02 01 00 30 … 06 … 04 …                             PKCS#8, all of the file
 *     fe ed fe ed                                              a Java key store
 */

/** Larger files are none of these. */
export const maxKeyFile: number = 2 ** 20
/** Bytes that the text of such a key may have. */
const maxDigits = 2 ** 16

const magics: readonly (readonly [hex: string, what: string])[] = [
  ["feedfeed000000", "a Java key store"],
  ["cececece000000", "a Java key store"],
  ["03d9a29a", "a KeePass database"],
  ["6b79636800010000", "a macOS keychain"],
  ["1ef1b5b000000000", "a private key (PVK)"],
  [Buffer.from("openssh-key-v1\0").toString("hex"), "an OpenSSH private key"],
]

/** What the file is, or `null`; `bytes` are all of it. */
export function secretByForm(bytes: Buffer): string | null {
  const start = bytes.toString("hex", 0, 16)
  const magic = magics.find(([hex]) => start.startsWith(hex))
  if (magic !== undefined) return magic[1]
  if (isPkcs12(bytes)) return "a key store (PKCS#12)"
  if (isDerKey(bytes)) return "a private key (DER)"
  return isPgpSecretKey(bytes) ? "an OpenPGP private key" : null
}

/** As `secretByForm`, of a file that is all base64 or hexadecimal digits: a key in PEM without its two lines. */
export function secretInDigits(bytes: Buffer): string | null {
  if (bytes.length < 48 || bytes.length > maxDigits) return null
  const text = bytes.toString("latin1").trim().replaceAll(/\s+/g, "")
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) return secretByForm(Buffer.from(text, "hex"))
  return /^[A-Za-z0-9+/_-]+={0,2}$/.test(text) ? secretByForm(Buffer.from(text, "base64")) : null
}

interface Item {
  readonly tag: number
  readonly start: number
  readonly end: number
}

/** One element of DER at `at`, or `null`. BER's open length reaches to the end. */
function itemAt(bytes: Buffer, at: number, end: number): Item | null {
  const [tag, length] = [bytes[at], bytes[at + 1]]
  if (tag === undefined || length === undefined || at + 2 > end) return null
  if (length === 0x80) return { tag, start: at + 2, end }
  const count = length < 0x80 ? 0 : length & 0x7f
  if (count > 4 || at + 2 + count > end) return null
  const size = count === 0 ? length : bytes.readUIntBE(at + 2, count)
  const start = at + 2 + count
  return start + size <= end ? { tag, start, end: start + size } : null
}

function itemsIn(bytes: Buffer, { start, end }: Item, most: number): Item[] {
  const items: Item[] = []
  for (let at = start; at < end && items.length < most;) {
    const item = itemAt(bytes, at, end)
    if (item === null) return []
    items.push(item)
    at = item.end
  }
  return items
}

const [integer, octets, object, sequence] = [0x02, 0x04, 0x06, 0x30]
const pkcs7 = Buffer.from("2a864886f70d0107", "hex") // 1.2.840.113549.1.7

function isPkcs12(bytes: Buffer): boolean {
  const all = itemAt(bytes, 0, bytes.length)
  if (all?.tag !== sequence) return false
  const [version, content] = itemsIn(bytes, all, 2)
  if (version?.tag !== integer || version.end - version.start !== 1 || bytes[version.start] !== 3) return false
  const kind = content?.tag === sequence ? itemAt(bytes, content.start, content.end) : null
  return kind?.tag === object && bytes.subarray(kind.start, kind.end).indexOf(pkcs7) === 0
}

/** PKCS#8 in the clear or encrypted, PKCS#1, SEC 1, and DSA: one sequence that is all of the file. */
function isDerKey(bytes: Buffer): boolean {
  const all = itemAt(bytes, 0, bytes.length)
  if (all?.tag !== sequence || all.end !== bytes.length || bytes[1] === 0x80) return false
  const items = itemsIn(bytes, all, 10)
  const tags = items.map(({ tag }) => tag)
  const [first, second] = items
  if (first === undefined || second === undefined) return false
  if (tags[0] === sequence && tags[1] === octets && items.length === 2) return beginsWithObject(bytes, first)
  if (tags[0] !== integer || first.end - first.start !== 1 || (bytes[first.start] ?? 2) > 1) return false
  if (tags[1] === sequence && tags[2] === octets) return beginsWithObject(bytes, second)
  if (tags[1] === octets) return (tags[2] === undefined || tags[2] === 0xa0) && second.end - second.start >= 16
  const integers = tags.filter((tag) => tag === integer).length
  return second.end - second.start >= 64 && (integers === 9 || (integers === 6 && items.length === 6))
}

function beginsWithObject(bytes: Buffer, { start, end }: Item): boolean {
  return itemAt(bytes, start, end)?.tag === object
}

const pgpAlgorithms: ReadonlySet<number> = new Set([1, 2, 3, 16, 17, 18, 19, 22, 25, 26, 27, 28])
/** What may follow: a user id, a signature, a subkey (RFC 9580 §4.3, §10.1). */
const pgpFollowers: ReadonlySet<number> = new Set([2, 7, 13, 17])

function isPgpSecretKey(bytes: Buffer): boolean {
  const packet = pgpPacketAt(bytes, 0)
  if (packet?.tag !== 5) return false
  const version = bytes[packet.start] ?? 0
  const algorithm = bytes[packet.start + (version === 3 ? 7 : 5)] ?? 0
  if (version < 3 || version > 6 || !pgpAlgorithms.has(algorithm)) return false
  const next = packet.end === bytes.length ? null : pgpPacketAt(bytes, packet.end)
  return packet.end === bytes.length || (next !== null && pgpFollowers.has(next.tag))
}

/** RFC 9580 §4.2: the two forms of a packet's header. */
function pgpPacketAt(bytes: Buffer, at: number): Item | null {
  const [first = 0, second = 0] = bytes.subarray(at)
  if ((first & 0x80) === 0) return null
  if ((first & 0x40) === 0) {
    const count = [1, 2, 4][first & 3]
    return count === undefined ? null : sized(bytes, (first >> 2) & 15, at + 1, count, 0)
  }
  if (second < 192) return sized(bytes, first & 63, at + 1, 1, 0)
  return second < 224 ? sized(bytes, first & 63, at + 1, 2, 192 - (192 << 8)) : sized(bytes, first & 63, at + 2, 4, 0)
}

function sized(bytes: Buffer, tag: number, at: number, count: number, add: number): Item | null {
  if (at + count > bytes.length) return null
  const start = at + count
  const end = start + bytes.readUIntBE(at, count) + add
  return end > start && end <= bytes.length ? { tag, start, end } : null
}
