/**
 * Which pages may ask a service that has a page of its own: that page. A browser names the page in `Origin`; programs send
 * none. A service that listens on loopback has to be asked by a name of loopback, too, or a name of somebody's could be made
 * to lead here.
 */
import type { IncomingMessage } from "node:http"
import { isLoopbackAuthority } from "@weighlock/node"
import { Refusal } from "./refusal.ts"

/** Throws a 403. */
export function requireSameOrigin({ headers }: Pick<IncomingMessage, "headers">, isLocal: boolean): void {
  const { origin, host = "" } = headers
  if (isLocal && !isLoopbackAuthority(host)) throw new Refusal(403, "this service is not asked by that name")
  if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) return
  throw new Refusal(403, "pages of other origins may not ask this service")
}
