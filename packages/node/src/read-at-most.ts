/** Reads what somebody else sends, up to a limit. */
export interface ReadBytes {
  /** At most so many as were asked for. */
  readonly bytes: Buffer
  /** `false`: more came, and the rest was not read. */
  readonly isAll: boolean
}

export async function readAtMost(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<ReadBytes> {
  const chunks: Uint8Array[] = []
  let left = maxBytes
  for await (const chunk of body) {
    chunks.push(chunk.subarray(0, left))
    left -= chunk.length
    if (left < 0) return { bytes: Buffer.concat(chunks), isAll: false } // which ends the connection, too
  }
  return { bytes: Buffer.concat(chunks), isAll: true }
}
