/**
 * Where and how a registry runs. Everything is checked before anything is opened; what is wrong is a USAGE error.
 *
 *     { data: "/var/lib/weighlock", trust: "/etc/weighlock/trust.json", host: "0.0.0.0", port: 443,
 *       publicUrl: "https://models.acme.example", tokens: "/etc/weighlock/tokens.json", tls: { cert: "…", key: "…" } }
 */
import { dirname, join } from "node:path"

import { type TrustChain, openTrustChain } from "@weighlock/manifest"
import { isLoopbackHost } from "@weighlock/node"
import type { NoteSigner } from "@weighlock/tlog"
import type { Logger } from "pino"

import { readConfigFile as read } from "./config-file.ts"
import { RegistryError } from "./errors.ts"
import { TokenFile } from "./http/token-file.ts"
import type { WitnessMode } from "./log/served.ts"
import { openLogSigner } from "./log/signer.ts"
import type { S3Timeouts } from "./store/s3-timeouts.ts"
import { type S3Config, type S3Place, parseS3Place } from "./store/s3-place.ts"

/** All in ms. */
export interface Timeouts {
  readonly headers: number
  readonly request: number
  /** A connection on which nothing moves. */
  readonly idle: number
  /** Until the client has taken what was written to it at once. */
  readonly taken: number
  readonly drain: number
}

export interface RegistryConfig {
  /** The folder that keeps everything. Made when absent. */
  readonly data: string
  /** A bucket that keeps the blobs; by default the data folder does. Credentials come as the AWS SDK finds them. */
  readonly store?: S3Config
  /** The trust root's envelope, or the path of the file. */
  readonly trust: string | Uint8Array
  /** Path, or `exec:` and the path of a program that signs; by default `log-key.pem` beside the trust file. */
  readonly logKey?: string
  /** Path of the copy of the last checkpoint, best on another disk; by default `checkpoint` in the data folder. */
  readonly checkpointCopy?: string
  /** A folder to publish the log to, as static files. */
  readonly publishLog?: string
  /** Whether readers are shown only what the witnesses' quorum has seen; matters when the trust root names witnesses. */
  readonly witness?: {
    readonly mode: WitnessMode
    /** Where to ask them, by their names in the policy: for those without a URL there, or in its place. */
    readonly urls?: Readonly<Record<string, string>>
  }
  readonly host?: string
  /** 0 (the default) takes any free one. */
  readonly port?: number
  /** Where clients reach this registry, if not at host:port: grants point there. */
  readonly publicUrl?: string
  /** Path of the token file. Without one only loopback is served. */
  readonly tokens?: string
  /** Paths of PEM files. */
  readonly tls?: { readonly cert: string; readonly key: string }
  readonly logger?: Logger
  /** Of the logger that is used when none is given: `info` (the default), `warn`, `error`, `silent` … */
  readonly logLevel?: string
  readonly timeouts?: Partial<Timeouts>
  readonly grantLifeSeconds?: number
  /** Of calls to a bucket. */
  readonly storeTimeouts?: Partial<S3Timeouts>
  /** Told of a fault after which the process must end; the default throws it outside any handler. */
  readonly onFatal?: (error: RegistryError) => void
}

export interface OpenedConfig {
  readonly data: string
  readonly store: S3Place | undefined
  readonly host: string
  readonly port: number
  readonly publicUrl: string | undefined
  readonly trustChain: TrustChain
  readonly signer: NoteSigner
  readonly checkpointCopy: string
  readonly publishLog: string | undefined
  readonly witnessMode: WitnessMode
  readonly witnessUrls: Readonly<Record<string, string>>
  readonly tokens: TokenFile | undefined
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | undefined
  readonly timeouts: Timeouts
}

/** Reads and checks every file the configuration names. Throws USAGE, or what `openTrustChain` throws. */
export async function openConfig(config: RegistryConfig): Promise<OpenedConfig> {
  const { data, host = "127.0.0.1", port = 0, tls } = config
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw usage(`${port} is not a port`)
  const tokens = config.tokens === undefined ? undefined : await TokenFile.open(config.tokens)
  if (!tokens && !isLoopbackHost(host)) {
    throw usage(`without tokens a registry serves loopback only, not ${host}`, "add --tokens FILE, or --host 127.0.0.1")
  }
  if (config.publicUrl === undefined && ["0.0.0.0", "::"].includes(host)) {
    throw usage(
      `${host} is not an address a client can be sent to`,
      "say where clients reach the registry: --public-url URL",
    )
  }
  const trustChain = await openTrust(config.trust)
  return {
    data,
    store: config.store && (await openS3Place(config.store)),
    host,
    port,
    tokens,
    trustChain,
    publicUrl: config.publicUrl === undefined ? undefined : parsePublicUrl(config.publicUrl),
    signer: await openLogSigner(logKeyPath(config), trustChain.current),
    checkpointCopy: config.checkpointCopy ?? join(data, "checkpoint"),
    publishLog: config.publishLog,
    witnessMode: config.witness?.mode ?? "degrade",
    witnessUrls: config.witness?.urls ?? {},
    tls: tls && { cert: await read(tls.cert, "TLS certificate"), key: await read(tls.key, "TLS key") },
    timeouts: { headers: 10_000, request: 600_000, idle: 30_000, taken: 300_000, drain: 10_000, ...config.timeouts },
  }
}

/** Of the trust root's envelope, or the path of its file. Throws USAGE, or what `openTrustChain` throws. */
export async function openTrust(trust: string | Uint8Array): Promise<TrustChain> {
  return openTrustChain([typeof trust === "string" ? await read(trust, "trust root") : trust], { by: "file" })
}

/** Throws USAGE. */
export async function openS3Place(store: S3Config): Promise<S3Place> {
  return parseS3Place(store, store.ca === undefined ? undefined : await read(store.ca, "store's certificate authority"))
}

function logKeyPath({ trust, logKey }: RegistryConfig): string {
  if (logKey !== undefined) return logKey
  if (typeof trust === "string") return join(dirname(trust), "log-key.pem")
  throw usage("the log key is missing", "give its place with --log-key")
}

function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  const fine = url && ["http:", "https:"].includes(url.protocol) && [url.origin, `${url.origin}/`].includes(text)
  if (!fine)
    throw usage(`${text} is not a public URL`, "write scheme, host and port only, such as https://models.acme.example")
  return url.origin
}

function usage(message: string, hint?: string): RegistryError {
  return new RegistryError("USAGE", message, hint === undefined ? {} : { hint })
}
