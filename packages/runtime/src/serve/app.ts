/** One request to one answer. Every answer about a model names the manifest it comes from. */
import type { IncomingMessage, ServerResponse } from "node:http"
import { deadlineExceeded } from "../engines/waiting-question.ts"
import type { Model } from "../model.ts"
import type { Bodies } from "./bodies.ts"
import { bodyLimit } from "./body-limit.ts"
import { metadataDocument, statusDocument } from "./model-documents.ts"
import type { Outgoing } from "./outgoing.ts"
import type { Page } from "./page.ts"
import { notFound, Refusal, refusalFor } from "./refusal.ts"
import { parseRoute, type Route } from "./route.ts"
import { requireSameOrigin } from "./same-origin.ts"

export interface Limits {
  readonly maxBody: number
  readonly maxRows: number
  readonly maxAnswer: number
  /** Milliseconds. */
  readonly predictTimeout: number
}

export interface App {
  readonly models: ReadonlyMap<string, Model>
  readonly bodies: Bodies
  readonly outgoing: Outgoing
  readonly limits: Limits
  readonly onBug: (error: unknown) => void
  /** `null`: there is none, and no look at where questions come from. */
  readonly page: Page | null
  /** It listens on loopback. */
  readonly isLocal: boolean
  draining: boolean
}

/** Never rejects. */
export async function respond(app: App, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    if (app.page !== null) requireSameOrigin(request, app.isLocal)
    const route = parseRoute(request.method ?? "", request.url ?? "")
    if (route.to === "page") return sendPage(app, request, response)
    const body = await answer(app, route, request, response)
    send(app, request, response, 200, body)
  } catch (error) {
    if (response.destroyed) return // the caller has left
    const refusal = refusalFor(error)
    if (!refusal) app.onBug(error)
    sendRefusal(app, request, response, refusal)
  }
}

function answer(
  app: App,
  route: Exclude<Route, { to: "page" }>,
  request: IncomingMessage,
  response: ServerResponse,
): string | Promise<Uint8Array> {
  if (route.to === "healthz") return JSON.stringify({ status: "ok" })
  if (route.to === "readyz") return readiness(app, response)
  if (route.to === "algo") return askOne(app, route, request, response)
  const model = findModel(app, route.model, route.version)
  response.setHeader("weighlock-manifest", `sha256:${model.manifest.digest}`)
  if (route.to === "status") return JSON.stringify(statusDocument(model))
  if (route.to === "metadata") return JSON.stringify(metadataDocument(route.model, model))
  const limit = bodyLimit(model, app.limits.maxRows, app.limits.maxBody)
  return app.bodies.with(request, limit, (body) => predict(app, model, body, response))
}

/** One instance by itself, to its result. */
function askOne(
  app: App,
  { model: name, version }: Extract<Route, { to: "algo" }>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Uint8Array> {
  const served = [...app.models.values()].filter(({ manifest }) => manifest.model === name)
  const model = served.find(({ manifest }) => manifest.version === version) ?? served[0]
  if (!model) throw notFound(`algorithm ${name} is not served here`)
  requireVersion(name, model, version)
  response.setHeader("weighlock-manifest", `sha256:${model.manifest.digest}`)
  const limit = bodyLimit(model, 1, app.limits.maxBody)
  return app.bodies.with(request, limit, (body) => predict(app, model, body, response, true))
}

function sendPage(app: App, request: IncomingMessage, response: ServerResponse): void {
  if (app.page === null) throw notFound("there is no page here; try /v1/models/{model}")
  response.setHeader("content-security-policy", app.page.policy)
  response.setHeader("referrer-policy", "no-referrer")
  send(app, request, response, 200, app.page.html, "text/html; charset=utf-8")
}

async function predict(
  { limits, outgoing }: App,
  model: Model,
  body: Uint8Array<ArrayBuffer>,
  response: ServerResponse,
  single = false,
): Promise<Uint8Array> {
  outgoing.requireRoom()
  const caller = new AbortController()
  const leave = (): void => caller.abort(new Refusal(499, "the caller has left"))
  const timer = setTimeout(() => caller.abort(deadlineExceeded(limits.predictTimeout)), limits.predictTimeout)
  response.once("close", leave)
  if (response.destroyed) leave()
  try {
    const answer = await model.predictJson(body, { ...limits, single, signal: caller.signal })
    outgoing.hold(response, answer.length)
    return answer
  } finally {
    clearTimeout(timer)
    response.off("close", leave)
  }
}

function readiness({ models, draining }: App, response: ServerResponse): string {
  const failures = [...models].flatMap(([name, { failure }]) => (failure === null ? [] : [{ name, failure }]))
  const ready = !draining && failures.length === 0
  if (!ready) response.statusCode = 503
  const isRestarting = failures.length > 0 && failures.every(({ failure }) => failure.code === "UNAVAILABLE")
  const status = ready ? "ready" : draining ? "draining" : isRestarting ? "loading" : "failed"
  const why = Object.fromEntries(failures.map(({ name, failure }) => [name, failure.message]))
  return JSON.stringify({ status, failed: failures.map(({ name }) => name), why })
}

function findModel({ models }: App, name: string, version: string | undefined): Model {
  const model = models.get(name)
  if (!model) throw notFound(`model ${name} is not served here`)
  requireVersion(name, model, version)
  return model
}

function requireVersion(name: string, { manifest }: Model, version: string | undefined): void {
  if (version === undefined || version === manifest.version) return
  throw notFound(`version ${version} of ${name} is not served; ${manifest.version} is`)
}

function sendRefusal(app: App, request: IncomingMessage, response: ServerResponse, refusal: Refusal | null): void {
  for (const [name, value] of Object.entries(refusal?.headers ?? {})) response.setHeader(name, value)
  if (!request.complete) response.setHeader("connection", "close") // the rest of the body is not waited for
  send(app, request, response, refusal?.status ?? 500, JSON.stringify({ error: refusal?.message ?? "internal error" }))
}

function send(
  app: App,
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  body: string | Uint8Array,
  type = "application/json",
): void {
  const bytes = typeof body === "string" ? Buffer.from(body) : body
  if (app.draining) response.setHeader("connection", "close")
  if (response.statusCode === 200) response.statusCode = status
  response.setHeader("content-type", type)
  response.setHeader("content-length", bytes.length)
  response.setHeader("x-content-type-options", "nosniff")
  response.setHeader("cache-control", "no-store")
  response.end(request.method === "HEAD" ? undefined : bytes)
}
