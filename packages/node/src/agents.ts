/** Connections that are kept, straight to an address or through a proxy: for what speaks through Node's own HTTP. */
import { type Agent, Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"
import { HttpProxyAgent, HttpsProxyAgent } from "hpagent"
import type { Proxy } from "./proxy.ts"

export interface AgentSettings {
  readonly maxSockets?: number
  /** PEM, instead of the authorities that Node trusts. */
  readonly ca?: string | Buffer | undefined
}

/** A proxy is asked for a tunnel (CONNECT) each time, also where the address is http. */
export function agentFor(protocol: string, proxy: Proxy | null, { maxSockets, ca }: AgentSettings = {}): Agent {
  const options = { keepAlive: true, ...(maxSockets && { maxSockets }), ...(ca !== undefined && { ca }) }
  const isSecure = protocol === "https:"
  if (proxy === null) return new (isSecure ? HttpsAgent : HttpAgent)(options)
  return new (isSecure ? HttpsProxyAgent : HttpProxyAgent)({ ...options, proxy: proxy.url })
}
