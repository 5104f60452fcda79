/**
 * Where a client lets itself be sent. The registry's URL comes from the user; every other address (an upload grant, a
 * redirect to a bucket) comes from the registry and is treated as hostile: https unless the registry is on loopback, and
 * no private or loopback target unless the registry is there too or the user allowed that host.
 */
import { BlockList, isIP, type LookupFunction } from "node:net"
import { lookup } from "node:dns"
import { isLoopbackHost } from "@weighlock/node"
import { ClientError } from "./errors.ts"

// RFC 6890 and its successors: what is not an address of the public internet.
const internal = new BlockList()
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
] as const) {
  internal.addSubnet(net, bits, "ipv4")
}
for (const [net, bits] of [
  ["::", 128],
  ["::1", 128],
  ["fc00::", 7],
  ["fe80::", 10],
  ["ff00::", 8],
] as const) {
  internal.addSubnet(net, bits, "ipv6")
}

function isIn(list: BlockList, address: string): boolean {
  const family = isIP(address)
  return family !== 0 && list.check(address, family === 6 ? "ipv6" : "ipv4")
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "")
}

/** The registry as the user named it. Throws USAGE. */
export function parseRegistryUrl(text: string): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:"))
    throw usage(`${JSON.stringify(text)} is not an http(s) URL`)
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw usage(
      `the registry URL carries more than scheme, host and path`,
      "give a token with WEIGHLOCK_TOKEN, never in the URL",
    )
  }
  if (url.protocol === "http:" && !isLoopbackHost(bareHost(url)))
    throw usage(`${url.origin} is not https`, "plain http is for loopback only")
  return new URL(url.pathname.endsWith("/") ? url.href : `${url.href}/`)
}

/** What the registry may send this client to. */
export class StorePolicy {
  readonly #registry: URL
  readonly #allowed: ReadonlySet<string>

  /** `allowed`: hosts (or host:port) that the user trusts to be stores although they are private. */
  constructor(registry: URL, allowed: readonly string[] = []) {
    this.#registry = registry
    this.#allowed = new Set(allowed)
  }

  /** Throws STORE_REFUSED unless this client may talk to `text`. */
  check(text: string): URL {
    const url = URL.parse(text)
    if (url === null || url.username !== "" || url.password !== "") throw refused(text, "it is not a plain URL")
    const registryIsLocal = isLoopbackHost(bareHost(this.#registry))
    if (url.protocol !== "https:" && !(url.protocol === "http:" && registryIsLocal))
      throw refused(text, "it is not https")
    if (!this.#mayBeInternal(url) && isInternalHost(bareHost(url)))
      throw refused(text, "it is a private or loopback address")
    return url
  }

  /** Name resolution for a checked URL; `undefined` when any address will do. */
  lookupFor(url: URL): LookupFunction | undefined {
    return this.#mayBeInternal(url) ? undefined : publicLookup
  }

  isRegistry(url: URL): boolean {
    return url.origin === this.#registry.origin
  }

  #mayBeInternal(url: URL): boolean {
    const host = bareHost(url)
    if (this.isRegistry(url) || this.#allowed.has(host) || this.#allowed.has(url.host)) return true
    return isLoopbackHost(bareHost(this.#registry)) && isLoopbackHost(host)
  }
}

function isInternalHost(host: string): boolean {
  return host === "localhost" || host.endsWith(".localhost") || isIn(internal, host)
}

/** Resolves like `dns.lookup`, but fails when a name leads to an address that is not public. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    const inside = addresses?.find(({ address }) => isIn(internal, address))
    if (error !== null) callback(error, [])
    else if (inside !== undefined) callback(refused(hostname, `it resolves to ${inside.address}`), [])
    else if (options.all === true) callback(null, addresses)
    else callback(null, addresses[0]?.address ?? "", addresses[0]?.family)
  })
}

function usage(message: string, hint?: string): ClientError {
  return new ClientError("USAGE", message, hint === undefined ? {} : { hint })
}

function refused(target: string, why: string): ClientError {
  return new ClientError("STORE_REFUSED", `the registry sends us to ${JSON.stringify(target)}: ${why}`, {
    hint: "if that store is yours, allow it with --allow-store-host HOST",
  })
}
