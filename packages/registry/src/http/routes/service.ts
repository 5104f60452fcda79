/** What the registry is and how it does: info, probes, metrics, and the document of this API. */
import { type TrustChain, limits } from "@weighlock/manifest"

import { RegistryError } from "../../errors.ts"
import type { Metrics } from "../../metrics.ts"
import { maxGrantsPerCall } from "../../uploads.ts"
import { openApiOf } from "../openapi.ts"
import { sendBytes, sendJson } from "../respond.ts"
import { type Route, route } from "../route.ts"
import { health, infoAnswer, pageLimit } from "../schemas.ts"
import { productName, productVersion } from "../../version.ts"

export interface ServiceOptions {
  readonly trustChain: TrustChain
  readonly metrics: Metrics
  /** False while starting and while draining. */
  readonly isReady: () => Promise<boolean>
}

/** `others`: every other route, for /openapi.json. */
export function serviceRoutes(
  { trustChain, metrics, isReady }: ServiceOptions,
  others: readonly Route[],
): readonly Route[] {
  const routes: Route[] = [
    route({
      method: "get",
      path: "/api/v1/info",
      summary: "Who this registry is, its log and trust root, its limits.",
      scope: "read",
      answers: { 200: { description: "About this registry.", schema: infoAnswer } },
      handle: async ({ response }) => sendJson(response, infoOf(trustChain)),
    }),
    route({
      method: "get",
      path: "/healthz",
      summary: "The process answers.",
      scope: "open",
      answers: { 200: { description: "Alive.", schema: health } },
      handle: async ({ response }) => sendJson(response, { status: "ok" }),
    }),
    route({
      method: "get",
      path: "/readyz",
      summary: "Ledger and blob store answer, and the registry is not shutting down.",
      scope: "open",
      answers: { 200: { description: "Ready.", schema: health } },
      handle: async ({ response }) => {
        if (!(await isReady())) throw new RegistryError("UNAVAILABLE", "not ready")
        sendJson(response, { status: "ready" })
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
      handle: async ({ response }) => sendJson(response, document),
    }),
  ]
  const document = openApiOf([...others, ...routes], productVersion)
  return routes
}

function infoOf({ current }: TrustChain): unknown {
  const { envelope, payload, files, signatures } = limits
  return {
    name: productName,
    version: productVersion,
    log: { origin: current.log.origin, vkeys: current.log.vkeys, size: 0 },
    trust: { version: current.version, sha256: current.digest },
    limits: { envelope, payload, files, signatures, grants: maxGrantsPerCall, page: pageLimit },
  }
}
