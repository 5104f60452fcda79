/**
 * Every chunk from a socket has some 64 KiB of its own outside of V8's heap. V8, which sees little garbage inside, frees them
 * in full collections only: fifty of them for a gigabyte, which cost more than hashing it, and 40 MB that nobody needs. So
 * a chunk that was used up is freed at once.
 */

/**
 * Nothing may look at `chunk` any more; it reads as empty afterwards. Of a chunk that shares its memory, as the end of an
 * answer's head does with what follows it, nothing is freed: V8 does it in its time.
 */
export function freeChunk(chunk: Uint8Array): void {
  const { buffer, byteLength } = chunk
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && !buffer.resizable) buffer.transfer(0)
}
