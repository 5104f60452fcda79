/** What every command and every load needs first: a trust root that was checked, and a way to ask its registry. */
import { join } from "node:path"
import {
  type FixedReference,
  formatEnvelope,
  isSha256Hex,
  limits,
  openTrustChain,
  parseBundle,
  type Reference,
  type TrustChain,
} from "@weighlock/manifest"
import { homeFolder, isLoopbackAuthority } from "@weighlock/node"
import { Cache } from "./cache.ts"
import { ClientError, Unreachable } from "./errors.ts"
import { KeptViews, keptTrust } from "./kept-views.ts"
import { LogReader } from "./log-reader.ts"
import { readGiven } from "./read-given.ts"
import { defaultState, Seen } from "./seen.ts"
import { Transport } from "./transport.ts"
import { loadWitnessKeys } from "./witness-keys.ts"

/** How far it is. */
export interface Progress {
  readonly phase: "hash" | "upload" | "download" | "verify" | "audit" | "files" | "export" | "monitor"
  readonly done: number
  readonly total: number
  /** Of what; bytes unless it says so. */
  readonly unit?: "entries"
}

export interface ClientOptions {
  /** http(s) URL of where to ask; else the reference's host, else the trust root's registry over https. */
  readonly registry?: string
  /** A trust root file, or `sha256:<hex>`: the pin of its first version, which is then asked of the registry. */
  readonly trust: string
  /** Folder of the content-addressed cache; `$WEIGHLOCK_CACHE`, else `$XDG_CACHE_HOME/weighlock`, by default. */
  readonly cache?: string
  /**
   * Folder of what was seen of the log: without it a registry could take back what it has shown. `$WEIGHLOCK_HOME`, else
   * `$XDG_DATA_HOME/weighlock`, by default.
   */
  readonly state?: string
  /** Seconds: refuses (STALE) what witnesses have not confirmed to be the newest state of the log for longer than that. */
  readonly maxStaleness?: number
  /** Asks nobody: starts from what this machine has kept, and what is in the cache. */
  readonly offline?: boolean
  /** Bytes the cache may hold after a fetch; the least recently used files go first. Unlimited by default. */
  readonly cacheLimit?: number
  readonly token?: string
  /** Private hosts that may be stores. */
  readonly allowStoreHosts?: readonly string[]
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

export interface Session {
  readonly transport: Transport
  readonly trustChain: TrustChain
  readonly log: LogReader
  /** Folder of what was seen and kept. */
  readonly state: string
  readonly seen: Seen
  readonly kept: KeptViews
  /** Seconds. */
  readonly maxStaleness: number | null
  readonly cache: Cache
  readonly signal: AbortSignal | undefined
  readonly onProgress: (progress: Progress) => void
}

/** Opens, hands over, and always closes again. `wanted`: a kept view of it may tell the trust root of a pin. */
export async function withSession<T>(
  options: ClientOptions,
  host: string | undefined,
  use: (session: Session) => Promise<T>,
  wanted?: FixedReference,
): Promise<T> {
  requireSeconds(options.maxStaleness)
  const state = options.state ?? defaultState()
  const given = await readTrust(options.trust)
  const pin = options.trust.slice("sha256:".length)
  const local = given ?? (options.offline === true ? await keptTrust(state, pin, wanted) : null)
  const registry = options.registry ?? registryUrl(host ?? local?.current.registry)
  const transport = new Transport({
    registry,
    ...(options.token === undefined ? {} : { token: options.token }),
    ...(options.allowStoreHosts === undefined ? {} : { allowStoreHosts: options.allowStoreHosts }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    ...(options.offline === undefined ? {} : { offline: options.offline }),
  })
  try {
    const trustChain = local ?? (await fetchTrust(transport, pin).catch(orKept(() => keptTrust(state, pin, wanted))))
    await loadWitnessKeys(trustChain)
    const cache = await Cache.open(options.cache ?? defaultCache())
    const result = await use({
      transport,
      trustChain,
      log: new LogReader(transport),
      state,
      seen: new Seen(state, trustChain),
      kept: new KeptViews(state, trustChain.roots[0]?.digest ?? trustChain.current.digest),
      maxStaleness: options.maxStaleness ?? null,
      cache,
      signal: options.signal,
      onProgress: options.onProgress ?? (() => undefined),
    })
    if (options.cacheLimit !== undefined) await cache.prune(options.cacheLimit)
    return result
  } finally {
    await transport.close()
  }
}

/** What was kept, where nobody answers. */
function orKept(keptTrust: () => Promise<TrustChain | null>): (error: unknown) => Promise<TrustChain> {
  return async (error) => {
    const chain = error instanceof Unreachable ? await keptTrust() : null
    if (chain === null) throw error
    return chain
  }
}

// NaN compares as fresh with everything.
function requireSeconds(maxStaleness: number | undefined): void {
  if (maxStaleness === undefined || (Number.isFinite(maxStaleness) && maxStaleness >= 0)) return
  throw new ClientError("USAGE", `${maxStaleness} is not a number of seconds`, { hint: "write --max-staleness 3600" })
}

/** Reads a trust root file; `null` for a pin. Throws USAGE, TRUST_UNREADABLE and whatever `openTrustChain` throws. */
export async function readTrust(trust: string | undefined): Promise<TrustChain | null> {
  if (typeof trust !== "string" || trust === "")
    throw new ClientError("USAGE", "nothing says whose signatures count: the option trust is missing", {
      hint: 'trust is the path of a trust root file, or its pin: { trust: "trust.json" }, --trust FILE or WEIGHLOCK_TRUST',
    })
  if (isPin(trust)) return null
  const bytes = await readGiven(trust, trustFileLimit, "a trust root").catch((cause: unknown) => {
    if (cause instanceof ClientError) throw cause
    throw new ClientError("TRUST_UNREADABLE", `cannot read the trust root ${trust}`, {
      cause,
      hint: "give the file that the registry's keeper gave you: --trust FILE or WEIGHLOCK_TRUST",
    })
  })
  return openTrustChain([bytes], { by: "file" })
}

/** Throws USAGE for what was meant as a pin and is none. */
function isPin(trust: string): boolean {
  if (!trust.startsWith("sha256:")) return false
  if (isSha256Hex(trust.slice("sha256:".length))) return true
  throw new ClientError("USAGE", `${JSON.stringify(trust.slice(0, 100))} is not a pin`, {
    hint: "a pin is sha256: and 64 lower-case hex digits, as weighlock trust show prints it",
  })
}

// An envelope holds its payload in base64.
const trustFileLimit = 2 * limits.trustRoot

async function fetchTrust(transport: Transport, digest: string): Promise<TrustChain> {
  const { body } = await transport.call("api/v1/trust/1", {
    what: "the registry's trust root",
    method: "GET",
    limit: 2 * limits.trustRoot,
  })
  return openTrustChain([formatEnvelope(parseBundle(body).envelope)], { by: "digest", digest })
}

/** Where a registry of that identity is asked unless somebody says otherwise. Throws USAGE. */
export function registryUrl(host: string | undefined): string {
  if (host === undefined)
    throw new ClientError("USAGE", "nothing says where the registry is", {
      hint: "give --registry URL or WEIGHLOCK_REGISTRY",
    })
  return `${isLoopbackAuthority(host) ? "http" : "https"}://${host}`
}

/** `$WEIGHLOCK_CACHE`, else below `$XDG_CACHE_HOME` or the home folder. Throws CACHE_UNUSABLE where there is none. */
export function defaultCache(): string {
  const { WEIGHLOCK_CACHE, XDG_CACHE_HOME } = process.env
  if (WEIGHLOCK_CACHE !== undefined) return WEIGHLOCK_CACHE
  if (XDG_CACHE_HOME !== undefined) return join(XDG_CACHE_HOME, "weighlock")
  const home = homeFolder()
  if (home !== null) return join(home, ".cache", "weighlock")
  throw new ClientError("CACHE_UNUSABLE", "this user has no home folder to keep a cache in", {
    hint: "set WEIGHLOCK_CACHE to a folder of its own",
  })
}

/** The address of a reference's bundle at the registry. */
export function bundlePath({ model, selector }: Reference): string {
  if (selector.by === "version") return `api/v1/models/${model}/versions/${selector.version}`
  if (selector.by === "digest") return `api/v1/manifests/sha256/${selector.digest}`
  throw new ClientError("NEEDS_LOG", "this release has no aliases and no ranges")
}
