/**
 * Looks into every file before anything is signed: secrets are refused, pickles are warned of.
 *
 * A text is read to its end. A binary file is read whole up to 64 MiB, and at both ends beyond: weights are most of what is
 * published, and reading them twice would make a publish half as fast.
 */
import type { FileHandle } from "node:fs/promises"
import { ManifestError } from "@weighlock/manifest"
import type { FoundFile } from "@weighlock/manifest/node"
import { counted } from "../describe.ts"
import type { Warning } from "./listing.ts"
import { isPickle } from "./pickles.ts"
import { openFile, readAt } from "./read-whole.ts"
import { maxKeyFile, secretByForm } from "./secrets/by-form.ts"
import { secretByName } from "./secrets/by-name.ts"
import { secretInText } from "./secrets/by-text.ts"
import { findPrivateKey, keyNeedles, keySpan } from "./secrets/pem.ts"

const block = 2 ** 20
/** Bytes of a binary file that is read whole, and of a text that is searched for tokens. */
const maxWhole = 64 * block
const filesAtOnce = 8

interface Inspected {
  readonly secret: string | null
  readonly isPickle: boolean
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
  const pickles = files.filter((_, at) => found[at]?.isPickle === true)
  return [
    ...secrets.map(({ path, what }) => ({ path, why: `${what}, taken because of --include` })),
    ...pickles.map(({ name }) => ({ path: name, why: "a pickle: loading it in Python runs code of whoever made it" })),
  ]
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
  const queue = files.entries()
  const take = async (): Promise<void> => {
    for (const [at, file] of queue) {
      signal.throwIfAborted()
      found[at] = await inspectFile(file)
    }
  }
  await Promise.all(Array.from({ length: filesAtOnce }, take))
  return found
}

async function inspectFile({ name, path, size }: FoundFile): Promise<Inspected> {
  const file = await openFile(path)
  try {
    const head = await readAt(file, 0, Math.min(size, block))
    return { secret: secretByName(name, size) ?? (await secretIn(file, head, size)), isPickle: isPickle(name, head) }
  } finally {
    await file.close()
  }
}

async function secretIn(file: FileHandle, head: Buffer, size: number): Promise<string | null> {
  const isShort = size <= head.length
  const inHead = (isShort && size <= maxKeyFile ? secretByForm(head) : null) ?? secretInText(textOf(head))
  if (inHead !== null || isShort) return inHead
  const isText = !head.includes(0) || isUtf16(head)
  if (!isText && size > maxWhole) return secretInText((await readAt(file, size - block, block)).toString("latin1"))
  for (let at = block - keySpan; at < size - keySpan; at += block - keySpan) {
    const bytes = await readAt(file, at, Math.min(block, size - at))
    const found = isText && size <= maxWhole ? secretInText(textOf(bytes, head)) : keyInBytes(bytes)
    if (found !== null) return found
  }
  return null
}

/** As `findPrivateKey`, at the speed of memory where there is none. */
function keyInBytes(bytes: Buffer): string | null {
  return keyNeedles.some((needle) => bytes.includes(needle)) ? findPrivateKey(bytes.toString("latin1")) : null
}

/** Each byte as one character; UTF-16 as its low bytes, which is enough for what is looked for. */
function textOf(bytes: Buffer, head: Buffer = bytes): string {
  const text = bytes.toString("latin1")
  return isUtf16(head) ? text.replaceAll("\0", "") : text
}

function isUtf16(head: Buffer): boolean {
  const mark = head.toString("hex", 0, 2)
  return mark === "fffe" || mark === "feff"
}
