/** Files of a model, made from a seed: the same bytes on every machine, none of them zero pages, none compressible. */
import { createCipheriv, createHash } from "node:crypto"
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"

const block = 2 ** 22
const zeros = Buffer.alloc(block)

/** `count` files of together `bytes`, in a new folder; the paths, in order. */
export function makeFiles(folder: string, bytes: number, count: number): string[] {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const width = String(count).length
  return Array.from({ length: count }, (_, at) => {
    const name = `model-${String(at + 1).padStart(width, "0")}-of-${count}.bin`
    const path = join(folder, name)
    writeStream(path, Math.floor(bytes / count), `${count} files of ${bytes} bytes, number ${at}`)
    return path
  })
}

/** The key stream of AES-128 in counter mode: several GB/s, and nobody can compress it. */
function writeStream(path: string, bytes: number, seed: string): void {
  const key = createHash("sha256").update(seed).digest().subarray(0, 16)
  const stream = createCipheriv("aes-128-ctr", key, Buffer.alloc(16))
  const file = openSync(path, "wx")
  try {
    for (let left = bytes; left > 0; left -= block)
      writeSync(file, stream.update(zeros.subarray(0, Math.min(block, left))))
  } finally {
    closeSync(file)
  }
}
