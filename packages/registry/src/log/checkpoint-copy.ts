/**
 * The last published checkpoint, kept outside the database: a database restored from an old backup is behind it, and a
 * registry that went on from there would sign a second history.
 *
 *     offset 0       models.acme.example/log\n42\nnND/…=\n\n— models.acme.example/log obLD1…=\n   then zeros up to 4096
 *     offset 4096    … 41 …
 *
 * The two slots are written in turn, in place, each with one fdatasync: a crash in the middle tears one of them, and the
 * other is the checkpoint before. The file is made, empty, before the first entry: where it is absent it was taken away.
 *
 * One process writes it, and nobody else: two registries on clones of one database would find the same copy to agree with
 * both, and each would sign a history of its own. So it is locked, and read again before each write.
 */
import { readSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { dirname } from "node:path"

import { createFile, makeFolder } from "@weighlock/node"
import { RegistryError } from "../errors.ts"
import { type WriterLock, lockWriter } from "../store/writer-lock.ts"

const slotSize = 4096

export class CheckpointCopy {
  readonly #file: FileHandle
  /** What the file holds, unless somebody else has written to it. */
  readonly #held: Buffer
  #slot: number

  private constructor(file: FileHandle, held: Buffer, slot: number) {
    this.#file = file
    this.#held = held
    this.#slot = slot
  }

  /** Held for as long as one works with the file. Throws CONFLICT while another process does. */
  static async lock(path: string): Promise<WriterLock> {
    await makeFolder(dirname(path))
    return lockWriter(`${path}.lock`, "copy of the checkpoint")
  }

  /** The texts in the slots, torn or not; `null` when there is no file. */
  static async read(path: string): Promise<readonly string[] | null> {
    const file = await openExisting(path, "r")
    if (!file) return null
    try {
      return slotsIn(contentOf(file))
    } finally {
      await file.close()
    }
  }

  /** Opens the file to write to it, and makes it when it is absent. `newest` keeps its slot: the other is written first. */
  static async open(path: string, newest: string | null): Promise<CheckpointCopy> {
    const file = (await openExisting(path, "r+")) ?? (await make(path))
    const held = contentOf(file)
    return new CheckpointCopy(file, held, newest !== null && slotsIn(held)[0] === newest ? 1 : 0)
  }

  /** Durable once it resolves. STORE_FAILED when somebody else has written to the file: what they signed is not known here. */
  async write(note: string): Promise<void> {
    if (!contentOf(this.#file).equals(this.#held)) {
      throw new RegistryError("STORE_FAILED", "another process has written to the copy of the checkpoint")
    }
    const slot = Buffer.alloc(slotSize)
    if (slot.write(note) !== Buffer.byteLength(note))
      throw new RegistryError("STORE_FAILED", "a checkpoint of over 4 KiB")
    const { bytesWritten } = await this.#file.write(slot, 0, slotSize, this.#slot * slotSize)
    if (bytesWritten !== slotSize) throw new RegistryError("STORE_FAILED", "the copy of the checkpoint was cut short")
    await this.#file.datasync()
    slot.copy(this.#held, this.#slot * slotSize)
    this.#slot = 1 - this.#slot
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** Two pages that were just written: shorter to read than to wait for. */
function contentOf(file: FileHandle): Buffer {
  const bytes = Buffer.alloc(2 * slotSize)
  readSync(file.fd, bytes, 0, bytes.length, 0)
  return bytes
}

function slotsIn(bytes: Buffer): readonly string[] {
  const slots = [bytes.subarray(0, slotSize), bytes.subarray(slotSize)]
  return slots.map((slot) => slot.subarray(0, slot.includes(0) ? slot.indexOf(0) : slotSize).toString("utf8"))
}

async function openExisting(path: string, flags: "r" | "r+"): Promise<FileHandle | null> {
  try {
    return await open(path, flags)
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return null
    throw new RegistryError("STORE_FAILED", `the copy of the checkpoint ${path} can't be opened`, { cause })
  }
}

async function make(path: string): Promise<FileHandle> {
  await makeFolder(dirname(path))
  await createFile(path, Buffer.alloc(2 * slotSize), { mode: 0o644 })
  return await open(path, "r+")
}
