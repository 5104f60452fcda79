/**
 * Which proxy leads to an address, as the environment says it: HTTPS_PROXY for https, HTTP_PROXY for http, and NO_PROXY for
 * what is asked directly. A name in lower case goes before one in capitals.
 *
 *     HTTPS_PROXY=http://proxy.example:3128     or proxy.example:3128, with NAME:PASSWORD@ where it wants them
 *     NO_PROXY=internal.example,10.0.0.0/8,[fd00::1],registry.example:8443,*
 *
 * A host of NO_PROXY counts for the hosts below it too, as for curl, Go and Python. This machine is never asked for through a
 * proxy: what goes there in the clear, a token with it, stays here.
 */
import { BlockList, isIP } from "node:net"
import { NodeError } from "./errors.ts"
import { isLoopbackHost } from "./loopback.ts"

export interface Proxy {
  readonly url: URL
  /** For messages: `the proxy http://proxy.example:3128 (HTTPS_PROXY)`. Holds no password. */
  readonly name: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** `null`: directly. Throws PROXY_INVALID, which names the variable. */
export function proxyFor({ protocol, hostname, port }: URL, env: Environment = process.env): Proxy | null {
  if (isLoopbackHost(hostname)) return null
  const set = lookUp(env, protocol === "https:" ? "https_proxy" : "http_proxy")
  if (set === null || isExempt(hostname, port || defaultPort(protocol), lookUp(env, "no_proxy")?.value ?? ""))
    return null
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(set.value) ? set.value : withScheme(set.value))
  if (url === null || !["http:", "https:"].includes(url.protocol)) throw invalid(set.name)
  return { url, name: `the proxy ${url.origin} (${set.name})` }
}

interface Variable {
  readonly name: string
  readonly value: string
}

function lookUp(env: Environment, lower: string): Variable | null {
  const name = env[lower] === undefined ? lower.toUpperCase() : lower
  const value = env[name]?.trim() ?? ""
  return value === "" ? null : { name, value }
}

/** `proxy.example:3128` is a proxy's address without a scheme; one word is a slip. */
function withScheme(value: string): string {
  return /^(?:[^\s/@]*@)?(?:[\w.-]+|\[[0-9a-f:.]+\]):[0-9]{1,5}\/?$/i.test(value) ? `http://${value}` : ""
}

// The value may hold a password, so it is not quoted.
function invalid(name: string): NodeError {
  return new NodeError("PROXY_INVALID", `${name} is not the address of an HTTP proxy`, {
    hint: `set it to an address such as http://proxy.example:3128, or unset it`,
  })
}

function defaultPort(protocol: string): string {
  return protocol === "https:" ? "443" : "80"
}

function isExempt(hostname: string, port: string, list: string): boolean {
  return list.split(/[\s,]+/).some((entry) => entry !== "" && matches(entry.toLowerCase(), bare(hostname), port))
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true
  const [, name = "", ofPort] = /^(\[[^\]]*\]|[^:]*):([0-9]+)$/.exec(entry) ?? [null, entry]
  if (ofPort !== undefined && ofPort !== port) return false
  const wanted = bare(name).replace(/^\*?\./, "")
  if (wanted === "") return false
  if (isIP(host) !== 0) return isAmong(wanted, host)
  return host === wanted || host.endsWith(`.${wanted}`)
}

/** An address, or a net of them: `10.0.0.0/8`. */
function isAmong(wanted: string, host: string): boolean {
  const [net = "", bits] = wanted.split("/")
  const family = isIP(net)
  if (family === 0) return false
  const type = family === 6 ? "ipv6" : "ipv4"
  const length = bits === undefined ? (family === 6 ? 128 : 32) : Number(bits)
  if (!Number.isInteger(length) || length < 0 || length > (family === 6 ? 128 : 32)) return false
  const list = new BlockList()
  list.addSubnet(net, length, type)
  return list.check(host, isIP(host) === 6 ? "ipv6" : "ipv4")
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "").replace(/\.$/, "")
}
