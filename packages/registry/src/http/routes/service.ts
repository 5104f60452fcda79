/** What the registry is and how it does: info, probes, metrics, and the document of this API. */
import { type TrustChain, limits } from "@weighlock/manifest"

import { RegistryError } from "../../errors.ts"
import type { LogHealth } from "../../log/run-log.ts"
import type { Latency } from "../../latency.ts"
import type { Metrics } from "../../metrics.ts"
import { maxGrantsPerCall } from "../../uploads.ts"
import { type Access, openApiOf } from "../openapi.ts"
import { sendBytes, sendJson } from "../respond.ts"
import { type Route, route } from "../route.ts"
import { healthAnswer, infoAnswer, pageLimit, readyAnswer } from "../schemas.ts"
import { productName, productVersion } from "../../version.ts"

export interface ServiceOptions {
  readonly trustChain: TrustChain
  readonly metrics: Metrics
  readonly health: () => LogHealth
  /** Bytes that are free on the disk of the data folder. */
  readonly diskFree: () => number
  readonly latency: Latency
  /** Where clients reach this registry. */
  readonly ownUrl: () => string
  /** False while starting and while draining. */
  readonly isReady: () => Promise<boolean>
  /** For /openapi.json. */
  readonly access: () => Access
}

/** `others`: every other route, for /openapi.json. */
export function serviceRoutes(
  { trustChain, metrics, health, diskFree, latency, ownUrl, isReady, access }: ServiceOptions,
  others: readonly Route[],
): readonly Route[] {
  const routes: Route[] = [
    route({
      method: "get",
      path: "/api/v1/info",
      summary: "Who this registry is, its log and trust root, its limits.",
      scope: "read",
      answers: { 200: { description: "About this registry.", schema: infoAnswer } },
      handle: async ({ response }) => sendJson(response, infoOf(trustChain, health(), ownUrl())),
    }),
    route({
      method: "get",
      path: "/healthz",
      summary: "The process answers.",
      scope: "open",
      answers: { 200: { description: "Alive.", schema: healthAnswer } },
      handle: async ({ response }) => sendJson(response, { status: "ok" }),
    }),
    route({
      method: "get",
      path: "/readyz",
      summary: "The ledger answers, the registry is not shutting down, and witnesses see the log where they must.",
      scope: "open",
      answers: { 200: { description: "Ready.", schema: readyAnswer } },
      handle: async ({ response }) => {
        const { ready, ...log } = health()
        if (!(await isReady())) throw new RegistryError("UNAVAILABLE", "not ready")
        if (!ready) throw new RegistryError("UNAVAILABLE", "not ready: the newest checkpoint lacks its witnesses")
        const { version, expires } = trustChain.current
        const trust = { version, expires: expires.toISOString() }
        sendJson(response, { status: "ready", log, trust, disk: { free: diskFree() }, latency: latency.recent })
      },
    }),
    route({
      method: "get",
      path: "/metrics",
      summary: "Prometheus metrics.",
      scope: "read",
      answers: { 200: { description: "Text format 0.0.4.", mediaType: "text/plain; version=0.0.4; charset=utf-8" } },
      handle: async ({ response }) => {
        sendBytes(response, Buffer.from(metrics.text()), { mediaType: "text/plain; version=0.0.4; charset=utf-8" })
      },
    }),
    route({
      method: "get",
      path: "/openapi.json",
      summary: "This document.",
      scope: "open",
      answers: { 200: { description: "OpenAPI 3.1.", mediaType: "application/json" } },
      handle: async ({ response }) => sendJson(response, document(access())),
    }),
  ]
  const documents = new Map<string, unknown>()
  const document = (now: Access): unknown => {
    const key = JSON.stringify(now)
    const made = documents.get(key) ?? openApiOf([...others, ...routes], productVersion, now)
    documents.set(key, made)
    return made
  }
  return routes
}

function infoOf({ current }: TrustChain, { size }: LogHealth, publicUrl: string): unknown {
  const { envelope, payload, files, signatures } = limits
  return {
    name: productName,
    version: productVersion,
    log: { origin: current.log.origin, vkeys: current.log.vkeys, size },
    trust: { version: current.version, sha256: current.digest },
    publicUrl,
    limits: { envelope, payload, files, signatures, grants: maxGrantsPerCall, page: pageLimit },
  }
}
