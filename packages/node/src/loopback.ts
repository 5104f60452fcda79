/**
 * Which hosts are this machine: the one place that decides when plain HTTP is safe, when no token is needed, and when a proxy
 * is not asked.
 *
 *     localhost  LOCALHOST  127.0.0.1  127.9.9.9  ::1  [::1]  ::ffff:127.0.0.1        yes
 *     127.1  0x7f.1  localhost.  127.0.0.1.evil.example  a.localhost  0.0.0.0  ::     no
 *
 * No name is looked up, so what only a resolver would make an address of this machine is no loopback.
 */
import { BlockList, isIP } from "node:net"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4") // an IPv6 address that maps such a one is found in it too
loopback.addAddress("::1", "ipv6")

/** `host` as in a URL or a flag, without a port: `localhost`, `127.0.0.2`, `::1` or `[::1]`. */
export function isLoopbackHost(host: string): boolean {
  if (host.toLowerCase() === "localhost") return true
  const bracketed = /^\[([^[\]]*)\]$/.exec(host)?.[1]
  const address = bracketed ?? host
  const family = isIP(address)
  // A zone names an interface, which loopback addresses do not need.
  if (family === 0 || address.includes("%") || (bracketed !== undefined && family !== 6)) return false
  return loopback.check(address, family === 4 ? "ipv4" : "ipv6")
}

/** `authority` as in a `Host` header or a registry's name: a host, with a port or without. */
export function isLoopbackAuthority(authority: string): boolean {
  const host = /^(\[[^\]]*\]|[^:]*)(?::[0-9]{1,5})?$/.exec(authority)?.[1]
  return host !== undefined && isLoopbackHost(host)
}
