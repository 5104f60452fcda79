/**
 * Where a log is read from: a registry, any web server that holds an export, or an export in a folder.
 *
 *     { kind: "registry", url: "https://models.acme.example" }        …/log/checkpoint, and the live API
 *     { kind: "static", url: "https://mirror.example/acme-log" }      …/checkpoint
 *     { kind: "folder", path: "/backup/acme-log" }
 *
 * A source crosses thread boundaries as this description; each thread opens its own.
 */
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { join } from "node:path"
import { limits } from "@weighlock/manifest"
import { readWhole } from "@weighlock/node"
import { ClientError } from "../errors.ts"
import { limitOf, type LogFiles, LogReader, payloadPath, readTile } from "../log-reader.ts"
import { Transport } from "../transport.ts"

export type SourceAddress =
  | { readonly kind: "registry" | "static"; readonly url: string; readonly token?: string }
  | { readonly kind: "folder"; readonly path: string }

export interface OpenSource {
  readonly files: LogFiles
  /** Of a registry: its live API answers too. */
  readonly transport: Transport | null
  close(): Promise<void>
}

export function openSource(
  address: SourceAddress,
  signal?: AbortSignal,
  allowStoreHosts?: readonly string[],
): OpenSource {
  if (address.kind === "folder") {
    return { files: new LogFolder(address.path), transport: null, close: () => Promise.resolve() }
  }
  const transport = new Transport({
    registry: address.url,
    ...(address.token === undefined ? {} : { token: address.token }),
    ...(signal === undefined ? {} : { signal }),
    ...(allowStoreHosts === undefined ? {} : { allowStoreHosts }),
  })
  const isRegistry = address.kind === "registry"
  return {
    files: new LogReader(transport, isRegistry ? "log/" : ""),
    transport: isRegistry ? transport : null,
    close: () => transport.close(),
  }
}

/** An export: `checkpoint`, `tile/…`, `payload/sha256/<hex>`. */
export class LogFolder implements LogFiles {
  readonly #path: string
  constructor(path: string) {
    this.#path = path
  }

  async checkpoint(): Promise<Uint8Array> {
    return await this.#read("checkpoint", limits.checkpoint)
  }

  async read(path: string): Promise<Uint8Array> {
    return await readTile(path, (at) => this.#read(at, limitOf(at)))
  }

  async payload(sha256: string): Promise<Uint8Array> {
    return await this.#read(payloadPath(sha256), limits.payload)
  }

  async #read(name: string, limit: number): Promise<Uint8Array> {
    return await readBounded(join(this.#path, ...name.split("/")), limit)
  }
}

/** Throws NOT_FOUND, TOO_LARGE, FILE_UNREADABLE. Only a regular file is read, and no more than `limit` bytes of it. */
export async function readBounded(path: string, limit: number): Promise<Uint8Array> {
  let file: FileHandle | null = null
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const found = await file.stat()
    if (!found.isFile()) throw new ClientError("FILE_UNREADABLE", `${path} is not a regular file`)
    if (found.size > limit) throw new ClientError("TOO_LARGE", `${path} has ${found.size} bytes, more than ${limit}`)
    const bytes = await readWhole(file)
    if (bytes === null) throw new ClientError("FILE_UNREADABLE", `${path} changes while it is read`)
    return bytes
  } catch (cause) {
    if (cause instanceof ClientError) throw cause
    const { code } = cause as NodeJS.ErrnoException
    if (code === "ENOENT" || code === "ENOTDIR") throw new ClientError("NOT_FOUND", `there is no ${path}`, { cause })
    throw new ClientError("FILE_UNREADABLE", `cannot read ${path}: ${code}`, { cause })
  } finally {
    await file?.close()
  }
}

/** What a user wrote: a registry's URL, or a folder. */
export function sourceAddress(text: string, token?: string): SourceAddress {
  if (!/^https?:\/\//.test(text)) return { kind: "folder", path: text }
  return { kind: "registry", url: text, ...(token === undefined ? {} : { token }) }
}
