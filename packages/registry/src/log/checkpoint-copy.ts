/**
 * The last published checkpoint, kept outside the database: a database restored from an old backup is behind it, and a
 * registry that went on from there would sign a second history.
 *
 *     offset 0       models.acme.example/log\n42\nnND/…=\n\n— models.acme.example/log obLD1…=\n   then zeros up to 4096
 *     offset 4096    … 41 …
 *
 * The two slots are written in turn, in place, each with one fdatasync: a crash in the middle tears one of them, and the
 * other is the checkpoint before. The file is made, empty, before the first entry: where it is absent it was taken away.
 */
import { type FileHandle, open } from "node:fs/promises"
import { dirname } from "node:path"

import { RegistryError } from "../errors.ts"
import { makeFolder, syncFolder } from "../store/durable.ts"

const slotSize = 4096

export class CheckpointCopy {
  readonly #file: FileHandle
  #slot: number

  private constructor(file: FileHandle, slot: number) {
    this.#file = file
    this.#slot = slot
  }

  /** The texts in the slots, torn or not; `null` when there is no file. */
  static async read(path: string): Promise<readonly string[] | null> {
    const file = await openExisting(path, "r")
    if (!file) return null
    try {
      return await slotsOf(file)
    } finally {
      await file.close()
    }
  }

  /** Opens the file to write to it, and makes it when it is absent. `newest` keeps its slot: the other is written first. */
  static async open(path: string, newest: string | null): Promise<CheckpointCopy> {
    const file = (await openExisting(path, "r+")) ?? (await make(path))
    const slots = await slotsOf(file)
    return new CheckpointCopy(file, newest !== null && slots[0] === newest ? 1 : 0)
  }

  /** Durable once it resolves. */
  async write(note: string): Promise<void> {
    const slot = Buffer.alloc(slotSize)
    if (slot.write(note) !== Buffer.byteLength(note))
      throw new RegistryError("STORE_FAILED", "a checkpoint of over 4 KiB")
    const { bytesWritten } = await this.#file.write(slot, 0, slotSize, this.#slot * slotSize)
    if (bytesWritten !== slotSize) throw new RegistryError("STORE_FAILED", "the copy of the checkpoint was cut short")
    await this.#file.datasync()
    this.#slot = 1 - this.#slot
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

async function slotsOf(file: FileHandle): Promise<readonly string[]> {
  const bytes = Buffer.alloc(2 * slotSize)
  await file.read(bytes, 0, bytes.length, 0)
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
  const file = await open(path, "wx+", 0o644)
  await file.write(Buffer.alloc(2 * slotSize), 0, 2 * slotSize, 0)
  await file.sync()
  await syncFolder(dirname(path))
  return file
}
