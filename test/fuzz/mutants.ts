/**
 * Mutants of files: half of them of bytes, half of what the bytes mean. Every one comes from a seed.
 *
 *     bytes      bits flipped, runs overwritten, cut out, doubled, moved; lengths and addresses set to extremes
 *     structure  the file is written again with a part that is another: a shape, a name, a type, a link
 */
import { Random } from "../matrix/random.ts"

export type Bytes = Uint8Array<ArrayBuffer>

export interface Parser {
  readonly name: string
  /** Real files to begin with. */
  readonly seeds: readonly Bytes[]
  /** A file whose structure was changed. */
  readonly structure: (random: Random) => Bytes
  /** Throws MODEL_REFUSED. */
  readonly parse: (bytes: Bytes) => void
}

export interface Outcome {
  readonly mutants: number
  /** Taken by the whole parser: its last stage was reached and had nothing to say. */
  readonly taken: number
  /** How often each refusal was met, without what is in quotes and numbers. */
  readonly refusals: ReadonlyMap<string, number>
  /** Milliseconds of the slowest. */
  readonly slowest: number
  /** Every error that was no MODEL_REFUSED, with its seed. */
  readonly faults: readonly string[]
}

export function run(parser: Parser, mutants: number, from = 0): Outcome {
  const refusals = new Map<string, number>()
  const faults: string[] = []
  let [taken, slowest] = [0, 0]
  for (let index = from; index < from + mutants; index++) {
    const bytes = mutant(parser, index)
    const started = performance.now()
    try {
      parser.parse(bytes)
      taken += 1
    } catch (error) {
      const { code, message } = error as { code?: unknown; message: string }
      if (code !== "MODEL_REFUSED") faults.push(`${parser.name} ${index}: ${message}`)
      const kind = message.replaceAll(/"[^"]*"|\d+|\[.*?\]/g, "…").slice(0, 60)
      refusals.set(kind, (refusals.get(kind) ?? 0) + 1)
    }
    slowest = Math.max(slowest, performance.now() - started)
  }
  return { mutants, taken, refusals, slowest, faults }
}

export function mutant({ name, seeds, structure }: Pick<Parser, "name" | "seeds" | "structure">, index: number): Bytes {
  const random = new Random(`${name} ${index}`)
  if (index % 2 === 0) return structure(random)
  let bytes: Bytes = random.of(seeds)
  for (let times = random.int(1, 2); times > 0; times--) bytes = random.of(changes)(bytes, random)
  return bytes
}

const extremes = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0xffffffff]

const at = (bytes: Bytes, random: Random): number => random.int(0, Math.max(0, bytes.length - 1))

const changes: readonly ((bytes: Bytes, random: Random) => Bytes)[] = [
  (bytes, random) => {
    const copy = bytes.slice()
    const place = at(bytes, random)
    copy[place] = (copy[place] ?? 0) ^ (1 << random.int(0, 7))
    return copy
  },
  (bytes, random) => {
    const copy = bytes.slice()
    copy[at(bytes, random)] = random.int(0, 255)
    return copy
  },
  // Where structures lie, not weights: files begin with them.
  (bytes, random) => {
    const copy = bytes.slice()
    copy[random.int(0, Math.min(bytes.length, 2048) - 1)] = random.of([0, 1, 2, 3, 8, 16, 127, 128, 254, 255])
    return copy
  },
  (bytes, random) => {
    const copy = bytes.slice()
    const place = Math.max(0, at(bytes, random) - 8)
    const width = Math.min(random.of([2, 4, 8]), copy.length - place)
    let value = random.of(extremes)
    for (let index = 0; index < width; index++, value = Math.floor(value / 256)) copy[place + index] = value % 256
    return copy
  },
  (bytes, random) => bytes.slice(0, at(bytes, random)),
  (bytes, random) => {
    const [from, length] = [at(bytes, random), random.int(1, 64)]
    return new Uint8Array(
      Buffer.concat([bytes.subarray(0, from), bytes.subarray(Math.min(bytes.length, from + length))]),
    )
  },
  (bytes, random) => {
    const [from, length, to] = [at(bytes, random), random.int(1, 64), at(bytes, random)]
    const part = bytes.subarray(from, Math.min(bytes.length, from + length))
    return new Uint8Array(Buffer.concat([bytes.subarray(0, to), part, bytes.subarray(to)]))
  },
  (bytes, random) => {
    const copy = bytes.slice()
    const [from, length, to] = [at(bytes, random), random.int(1, 64), at(bytes, random)]
    copy.copyWithin(to, from, Math.min(bytes.length, from + length))
    return copy
  },
]
