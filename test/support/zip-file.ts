/** Writes zip archives, right and wrong ones: every field can be said. */
import { crc32, deflateRawSync } from "node:zlib"
import { join, le } from "./hdf5-file.ts"

export interface MemberParts {
  readonly name: string
  readonly content: Uint8Array | string
  readonly deflate?: boolean
  /** What is said in the place of what is so; `local` and `central` in one of the two headers alone. */
  readonly size?: number
  readonly flags?: number
  readonly method?: number
  readonly crc?: number
  readonly localName?: string
  readonly offset?: number
  /** Sizes and checksum stand behind the bytes. */
  readonly later?: boolean
}

export function zip(members: readonly MemberParts[], comment = ""): Uint8Array<ArrayBuffer> {
  const locals: Uint8Array[] = []
  const entries: Uint8Array[] = []
  let at = 0
  for (const member of members) {
    const content = Buffer.from(member.content)
    const packed = member.deflate === true ? deflateRawSync(content) : content
    const { name, method = member.deflate === true ? 8 : 0, crc = crc32(content), size = content.length } = member
    const flags = (member.flags ?? 0) | (member.later === true ? 8 : 0)
    const sums = le(4, crc, packed.length, size)
    const localSums = member.later === true ? new Uint8Array(12) : sums
    const localName = Buffer.from(member.localName ?? name)
    const local = join(
      le(4, 0x04034b50),
      le(2, 20, flags, method, 0, 0),
      localSums,
      le(2, localName.length, 0),
      localName,
      packed,
    )
    const behind = member.later === true ? join(le(4, 0x08074b50), sums) : new Uint8Array(0)
    const named = Buffer.from(name)
    entries.push(
      join(
        le(4, 0x02014b50),
        le(2, 20, 20, flags, method, 0, 0),
        sums,
        le(2, named.length, 0, 0, 0, 0),
        le(4, 0, member.offset ?? at),
        named,
      ),
    )
    locals.push(local, behind)
    at += local.length + behind.length
  }
  const directory = join(...entries)
  const end = join(
    le(4, 0x06054b50),
    le(2, 0, 0, members.length, members.length),
    le(4, directory.length, at),
    le(2, comment.length),
    Buffer.from(comment),
  )
  return join(...locals, directory, end)
}
