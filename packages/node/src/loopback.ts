/** Which hosts are this machine: the one place that decides when plain HTTP is safe and a proxy is not asked. */
import { BlockList, isIP } from "node:net"

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8, "ipv4")
loopback.addAddress("::1", "ipv6")

/** `host` as in a URL or a flag, without a port: `localhost`, `127.0.0.2`, `::1` or `[::1]`. No name is looked up. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host
  if (bare.toLowerCase() === "localhost") return true
  const version = isIP(bare)
  return version !== 0 && loopback.check(bare, version === 4 ? "ipv4" : "ipv6")
}
