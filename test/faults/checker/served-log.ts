/**
 * Reads a whole tlog-tiles log, from a URL or from a folder: the checkpoint and every entry, by bundles of 256.
 *
 *     checkpoint     tile/entries/000   tile/entries/x001/234   tile/entries/001.p/7
 */
import { readFile } from "node:fs/promises"

export interface ServedLog {
  readonly checkpoint: string
  /** Index of the first of `entries`. */
  readonly from: number
  readonly entries: readonly Buffer[]
}

type Read = (path: string) => Promise<Buffer>

export const overHttp =
  (url: string): Read =>
  async (path) => {
    const answer = await fetch(`${url}/log/${path}`)
    const body = Buffer.from(await answer.arrayBuffer())
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${body.toString()}`)
    return body
  }

export const fromFolder =
  (folder: string): Read =>
  (path) =>
    readFile(`${folder}/${path}`)

/** Groups of three digits, all but the last with an x before them: 1234067 is x001/x234/067. */
function tileNumber(n: number): string {
  const digits = String(n).padStart(3, "0")
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/\d{3}/g) ?? []
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/")
}

function splitBundle(bytes: Buffer, width: number): Buffer[] {
  const entries: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) throw new Error("a bundle that is cut off")
    entries.push(bytes.subarray(at + 2, end))
    at = end
  }
  if (entries.length !== width) throw new Error(`a bundle of ${entries.length} entries, not ${width}`)
  return entries
}

/** The checkpoint that is served now, and the entries up to its size: all, or from the bundle that holds `start`. */
export async function readLog(read: Read, start = 0): Promise<ServedLog> {
  const checkpoint = (await read("checkpoint")).toString()
  const size = Number(checkpoint.split("\n")[1])
  const entries: Buffer[] = []
  const first = Math.floor(start / 256)
  for (let n = first; n * 256 < size; n++) {
    const width = Math.min(256, size - n * 256)
    const path = `tile/entries/${tileNumber(n)}${width < 256 ? `.p/${width}` : ""}`
    entries.push(...splitBundle(await read(path), width))
  }
  return { checkpoint, from: first * 256, entries }
}
