/**
 * Looks into every file before anything is signed: secrets are refused, pickles and what is not there are warned of.
 *
 * A text is read to its end, and the first MiB of anything else as if it were one. Binary files are read whole as long as
 * they are small together, and at both ends beyond: weights are most of what is published, and to read them twice would
 * make a publish half as fast.
 */
import type { FileHandle } from "node:fs/promises"
import { sep } from "node:path"
import { ManifestError } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"
import { counted } from "../describe.ts"
import { isLfsPointer, lfsWarning } from "./lfs.ts"
import type { Warning } from "./listing.ts"
import { isPickle } from "./pickles.ts"
import { openFile, readAt } from "./read-whole.ts"
import { maxKeyFile, secretByForm, secretInDigits } from "./secrets/by-form.ts"
import { secretByName } from "./secrets/by-name.ts"
import { secretInText } from "./secrets/by-text.ts"
import { findPrivateKey, keyNeedles, keySpan } from "./secrets/pem.ts"

const block = 2 ** 20
/** Bytes of binary files that are read whole, all of them together and the smallest first. */
const maxBinary = 128 * block
/** Bytes of a text that is searched for tokens; a longer one for keys alone. */
const maxText = 64 * block
/** Bytes at each end of a binary file that is not read whole. */
const edge = 2 ** 16
const filesAtOnce = 8

interface Inspected {
  readonly secret: string | null
  /** Why it is worth a second look. */
  readonly warning: string | null
}

/** `include` are paths that are taken whatever they hold. Throws SECRET_FOUND, which names every other, or FILE_UNREADABLE. */
export async function inspect(
  files: readonly FoundFile[],
  include: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Warning[]> {
  const found = await inspectAll(files, signal)
  const secrets = files.flatMap(({ name }, at) => {
    const what = found[at]?.secret ?? null
    return what === null ? [] : [{ path: name, what }]
  })
  const refused = secrets.filter(({ path }) => !include.has(path))
  if (refused.length > 0) throw secretFound(refused)
  const warnings = files.flatMap(({ name }, at) => {
    const why = found[at]?.warning ?? null
    return why === null ? [] : [{ path: name, why }]
  })
  return [...secrets.map(({ path, what }) => ({ path, why: `${what}, taken because of --include` })), ...warnings]
}

function secretFound(secrets: readonly { path: string; what: string }[]): ManifestError {
  const list = secrets.map(({ path, what }) => `${path} (${what})`).join(", ")
  const are = secrets.length === 1 ? "holds a secret" : "hold secrets"
  return new ManifestError(
    "SECRET_FOUND",
    `${counted(secrets.length, "file")} ${are}, so nothing was signed or sent: ${list}`,
    {
      hint: "move it out of the folder, or leave it out with --exclude or .weighlockignore; what is meant to be public is taken with --include PATH",
    },
  )
}

async function inspectAll(files: readonly FoundFile[], signal: AbortSignal): Promise<Inspected[]> {
  const found: Inspected[] = []
  const whole = readWholly(files)
  const queue = files.entries()
  const take = async (): Promise<void> => {
    for (const [at, file] of queue) {
      signal.throwIfAborted()
      found[at] = await inspectFile(file, whole.has(file))
    }
  }
  await Promise.all(Array.from({ length: filesAtOnce }, take))
  return found
}

/** The files that are read to their end even if they are binary. */
function readWholly(files: readonly FoundFile[]): ReadonlySet<FoundFile> {
  const whole = new Set<FoundFile>()
  let left = maxBinary
  for (const file of files.toSorted((a, b) => a.size - b.size)) {
    left -= file.size
    if (left < 0) break
    whole.add(file)
  }
  return whole
}

async function inspectFile({ name, path, size }: FoundFile, whole: boolean): Promise<Inspected> {
  const file = await openFile(path)
  try {
    const start = await readAt(file, 0, Math.min(size, edge))
    // Where a link was followed, the path is that of the file itself: `settings.txt -> .env`.
    const byName = secretByName(name, size) ?? secretByName(path.split(sep).join("/"), size)
    const secret = byName ?? (await secretIn(file, start, size, whole))
    return { secret, warning: warningOf(name, start) }
  } finally {
    await file.close()
  }
}

function warningOf(name: string, start: Buffer): string | null {
  if (isPickle(name, start)) return "a pickle: loading it in Python runs code of whoever made it"
  return isLfsPointer(start) ? lfsWarning : null
}

async function secretIn(file: FileHandle, start: Buffer, size: number, whole: boolean): Promise<string | null> {
  if (size <= start.length) return secretByForm(start) ?? secretInDigits(start) ?? secretInText(textOf(start, start))
  if (size <= maxKeyFile) {
    const all = await readAt(file, 0, size)
    return secretByForm(all) ?? secretInText(textOf(all, start))
  }
  const isText = !start.includes(0) || isUtf16(start)
  // Formats of weights begin with a text of their own: the JSON of safetensors, the metadata of GGUF and ONNX.
  const inHead = isText ? null : secretInText((await readAt(file, 0, maxKeyFile)).toString("latin1"))
  if (inHead !== null) return inHead
  if (!isText && !whole) return keyInBytes(start) ?? keyInBytes(await readAt(file, size - edge, edge))
  for (let at = 0; at < size - keySpan; at += block - keySpan) {
    const bytes = await readAt(file, at, Math.min(block, size - at))
    const found = isText && size <= maxText ? secretInText(textOf(bytes, start)) : keyInBytes(bytes)
    if (found !== null) return found
  }
  return null
}

/** As `findPrivateKey`, at the speed of memory where there is none. */
function keyInBytes(bytes: Buffer): string | null {
  return keyNeedles.some((needle) => bytes.includes(needle)) ? findPrivateKey(bytes.toString("latin1")) : null
}

/** Each byte as one character; UTF-16 as its low bytes, which is enough for what is looked for. */
function textOf(bytes: Buffer, head: Buffer): string {
  const text = bytes.toString("latin1")
  return isUtf16(head) ? text.replaceAll("\0", "") : text
}

function isUtf16(head: Buffer): boolean {
  const mark = head.toString("hex", 0, 2)
  if (mark === "fffe" || mark === "feff") return true
  // Without a mark: Latin letters have a zero beside them.
  const zeros = (from: number): boolean =>
    head.length >= 16 && [0, 2, 4, 6, 8, 10, 12, 14].every((at) => head[at + from] === 0)
  return zeros(0) !== zeros(1)
}
