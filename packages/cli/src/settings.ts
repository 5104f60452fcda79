/**
 * Where a setting comes from: flag, environment, the nearest `weighlock.toml` upward, `$XDG_CONFIG_HOME/weighlock/config.toml`.
 *
 *     # weighlock.toml; paths are relative to it
 *     registry = "https://models.acme.example"
 *     trust = "trust.json"
 *     key = "alice"
 *     cache_limit = "20G"
 *     max_staleness = "24h"
 */
import { readFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { homeFolder } from "@weighlock/node"
import type { ClientOptions } from "@weighlock/client"
import { usage } from "./errors.ts"
import type { Io } from "./io.ts"

export interface ConnectionFlags {
  readonly registry?: string
  readonly trust?: string
  readonly allowStoreHost?: readonly string[]
  readonly maxStaleness?: string
  readonly offline?: boolean
}

export interface FileSettings {
  readonly registry?: string
  /** Absolute, or a pin. */
  readonly trust?: string
  readonly key?: string
  readonly cache?: string
  /** Bytes. */
  readonly cacheLimit?: number
  readonly allowStoreHosts?: readonly string[]
  /** Seconds. */
  readonly maxStaleness?: number
}

const strings = ["registry", "trust", "key", "cache"] as const

export class Settings {
  readonly io: Io
  readonly #file: FileSettings
  private constructor(io: Io, file: FileSettings) {
    this.io = io
    this.#file = file
  }

  static async load(io: Io): Promise<Settings> {
    const [home, own] = [homeFolder(io.env), io.env["XDG_CONFIG_HOME"]]
    const config = own ?? (home === null ? null : join(home, ".config"))
    const common = config === null ? null : await readToml(join(config, "weighlock", "config.toml"))
    return new Settings(io, { ...common, ...(await findUpward(io.cwd)) })
  }

  /** The folder of keys, receipts and what was seen of logs. */
  get home(): string {
    const { WEIGHLOCK_HOME, XDG_DATA_HOME } = this.io.env
    return resolve(
      this.io.cwd,
      WEIGHLOCK_HOME ?? join(XDG_DATA_HOME ?? join(this.#userFolder("WEIGHLOCK_HOME"), ".local", "share"), "weighlock"),
    )
  }

  /** Throws USAGE where there is none. */
  #userFolder(variable: string): string {
    const home = homeFolder(this.io.env)
    if (home !== null) return home
    throw usage("this user has no home folder", `set ${variable} to a folder of your own`)
  }

  get key(): string | undefined {
    return this.#file.key
  }

  get cache(): string {
    const { WEIGHLOCK_CACHE, XDG_CACHE_HOME } = this.io.env
    return resolve(
      this.io.cwd,
      WEIGHLOCK_CACHE ??
        this.#file.cache ??
        join(XDG_CACHE_HOME ?? join(this.#userFolder("WEIGHLOCK_CACHE"), ".cache"), "weighlock"),
    )
  }

  /** A file's absolute path, or a pin. Throws USAGE when nothing names one. */
  trust(flags: ConnectionFlags): string {
    const given = flags.trust ?? this.io.env["WEIGHLOCK_TRUST"]
    if (given !== undefined) return given.startsWith("sha256:") ? given : resolve(this.io.cwd, given)
    if (this.#file.trust !== undefined) return this.#file.trust
    throw usage(
      "nothing says whom to trust",
      "give --trust FILE or --trust sha256:<pin>, WEIGHLOCK_TRUST, or trust = … in weighlock.toml",
    )
  }

  /**
   * Seconds that the newest confirmation of witnesses may be old; `null` where nothing says. The file speaks of what a
   * registry answers, not of what was kept: a receipt grows old, and stays one.
   */
  maxStaleness(flags: Pick<ConnectionFlags, "maxStaleness">, of: "registry" | "kept"): number | null {
    if (flags.maxStaleness !== undefined) return parseSeconds(flags.maxStaleness)
    return of === "registry" ? (this.#file.maxStaleness ?? null) : null
  }

  /** A host written in a reference is more special than any setting but the flag. */
  async client(
    flags: ConnectionFlags,
    onProgress: NonNullable<ClientOptions["onProgress"]>,
    host?: string,
  ): Promise<ClientOptions> {
    const registry =
      flags.registry ?? (host === undefined ? (this.io.env["WEIGHLOCK_REGISTRY"] ?? this.#file.registry) : undefined)
    const token = await secret(this.io, "WEIGHLOCK_TOKEN")
    const limit = this.io.env["WEIGHLOCK_CACHE_LIMIT"]
    const cacheLimit = limit === undefined ? this.#file.cacheLimit : parseSize(limit)
    const maxStaleness = this.maxStaleness(flags, "registry")
    const allowed = [...(flags.allowStoreHost ?? []), ...(this.#file.allowStoreHosts ?? [])]
    return {
      trust: this.trust(flags),
      cache: this.cache,
      state: this.home,
      allowStoreHosts: allowed,
      signal: this.io.signal,
      onProgress,
      ...(flags.offline === undefined ? {} : { offline: flags.offline }),
      ...(maxStaleness === null ? {} : { maxStaleness }),
      ...(cacheLimit === undefined ? {} : { cacheLimit }),
      ...(registry === undefined ? {} : { registry }),
      ...(token === undefined ? {} : { token }),
    }
  }
}

/** `$NAME`, or the first line of the file that `$NAME_FILE` names: never a flag, which everyone on the host can read. */
export async function secret(io: Io, name: string): Promise<string | undefined> {
  const file = io.env[`${name}_FILE`]
  if (io.env[name] !== undefined || file === undefined) return io.env[name]
  const text = await readFile(resolve(io.cwd, file), "utf8").catch((cause: unknown) => {
    throw usage(`cannot read ${name}_FILE ${file}: ${(cause as NodeJS.ErrnoException).code}`)
  })
  return text.split(/\r?\n/)[0] ?? ""
}

async function findUpward(start: string): Promise<FileSettings | null> {
  for (let folder = start; ; folder = dirname(folder)) {
    const found = await readToml(join(folder, "weighlock.toml"))
    if (found !== null || folder === dirname(folder)) return found
  }
}

async function readToml(path: string): Promise<FileSettings | null> {
  const text = await readFile(path, "utf8").catch(() => null)
  if (text === null) return null
  const { parse } = await import("smol-toml")
  try {
    return check(parse(text), dirname(path))
  } catch (error) {
    throw usage(`${path}: ${(error as Error).message.split("\n")[0]}`)
  }
}

function check(table: Record<string, unknown>, folder: string): FileSettings {
  const settings: Record<string, string | number | readonly string[]> = {}
  for (const [name, value] of Object.entries(table)) {
    if (
      name === "allow_store_hosts" &&
      Array.isArray(value) &&
      value.every((host): host is string => typeof host === "string")
    )
      settings["allowStoreHosts"] = value
    else if (name === "cache_limit" && typeof value === "string") settings["cacheLimit"] = parseSize(value)
    else if (name === "max_staleness" && (typeof value === "string" || typeof value === "number"))
      settings["maxStaleness"] = parseSeconds(String(value))
    else if (!strings.some((known) => known === name)) throw new Error(`unknown setting ${name}`)
    else if (typeof value !== "string") throw new Error(`${name} is not a string`)
    else
      settings[name] =
        (name === "trust" && !value.startsWith("sha256:")) || name === "cache" ? resolve(folder, value) : value
  }
  return settings
}

const units: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 }

/** `500M` → bytes. */
export function parseSize(text: string): number {
  const [, digits, unit = ""] = /^(\d{1,15})([KMGT]?)$/.exec(text) ?? []
  if (digits === undefined)
    throw usage(`${JSON.stringify(text)} is not a size`, "write a number of bytes, or 500M, 20G")
  return Number(digits) * (units[unit] ?? 1)
}

/** A count of seconds, or with a unit: `90`, `60s`, `15m`, `24h`, `7d`. */
export function parseSeconds(text: string): number {
  const [, digits, unit = ""] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? []
  if (digits === undefined)
    throw usage(`${JSON.stringify(text)} is not a time`, "write a number of seconds, or 60s, 15m, 24h, 7d")
  return Number(digits) * (secondsOf[unit] ?? 1)
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }
