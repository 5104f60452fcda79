/**
 * The Express application, built from the list of routes.
 *
 *     guard (raw request) -> route or 404/405 -> token -> parameters -> handler -> problem document for whatever was thrown
 */
import type { IncomingMessage, ServerResponse } from "node:http"

import { ManifestError } from "@weighlock/manifest"
import express from "express"

import { RegistryError } from "../errors.ts"
import { type Tokens, authorize } from "./auth.ts"
import { validate } from "./body.ts"
import { guard } from "./guard.ts"
import { sendProblem } from "./problem.ts"
import { type Method, type Route, byPath } from "./route.ts"

export interface AppOptions {
  readonly routes: readonly Route[]
  /** Those that count now; `undefined` where the registry knows none. */
  readonly tokens: () => Tokens | undefined
  readonly now: () => Date
  /** Told of every answer: for logs and metrics. */
  readonly onAnswer: (answer: Answered) => void
  /** Told of errors that are bugs or faults, not refusals. */
  readonly onFault: (error: unknown) => void
}

export interface Answered {
  readonly method: string
  /** The pattern, never the URL. */
  readonly route: string
  readonly status: number
  readonly ms: number
  /** The name of the token that was accepted, never the token; `null` without one. */
  readonly token: string | null
  /** Of the other end of the connection: of a proxy, where one stands between. */
  readonly address: string | null
}

export type App = (request: IncomingMessage, response: ServerResponse) => void

export function createApp(options: AppOptions): App {
  const app = express()
  for (const setting of ["strict routing", "case sensitive routing"]) app.enable(setting)
  for (const setting of ["x-powered-by", "etag"]) app.disable(setting)
  app.set("query parser", "simple")
  app.use((request, response, next) => {
    observe(request, response, options)
    response.setHeader("x-content-type-options", "nosniff")
    // The log is for everybody to check, web pages too; a page must also see that a tile is not there.
    if (request.url.startsWith("/log/")) response.setHeader("access-control-allow-origin", "*")
    guard(request, { loopbackOnly: options.tokens() === undefined })
    next()
  })
  for (const [path, routes] of byPath(options.routes)) addPath(app, path, routes, options)
  app.use(() => {
    throw new RegistryError("NOT_FOUND", "no such route", { hint: "GET /openapi.json lists them" })
  })
  app.use((error: unknown, request: express.Request, response: express.Response, _next: express.NextFunction) => {
    if (isFault(error, request)) options.onFault(error)
    sendProblem(request, response, error)
  })
  return app
}

function addPath(app: express.Express, path: string, routes: readonly Route[], options: AppOptions): void {
  const place = app.route(path.replaceAll(/\{(\w+)\}/g, ":$1").replace(/\{(\w+)\+\}$/, "*$1"))
  place.all((_request, response, next) => {
    response.locals["route"] = path
    next()
  })
  for (const each of routes) place[each.method]((request, response) => answer(each, request, response, options))
  place.all((_request, response) => {
    response.setHeader("allow", allowedMethods(routes).join(", "))
    throw new RegistryError("METHOD_NOT_ALLOWED", `this route takes ${allowedMethods(routes).join(", ")}`)
  })
}

/** What a path answers: GET implies HEAD. */
export function allowedMethods(routes: readonly { readonly method: Method }[]): readonly string[] {
  const methods = routes.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]))
  return [...new Set(methods)].sort()
}

async function answer(
  each: Route,
  request: express.Request,
  response: express.Response,
  options: AppOptions,
): Promise<void> {
  if (each.scope === "read" || each.scope === "publish") {
    response.locals["token"] = authorize(options.tokens(), request.headers.authorization, each.scope, options.now())
  }
  const params = each.params && validate(each.params, paramsOf(request), each.oddParams ?? "MANIFEST_INVALID")
  const query = each.query ? validate(each.query, { ...request.query }) : requireNoQuery(request)
  await each.handle({ params, query, request, response })
}

/** Several segments come as a list: they are one text with slashes. */
function paramsOf({ params }: express.Request): Record<string, string> {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name, [value].flat().join("/")]))
}

function requireNoQuery(request: express.Request): undefined {
  if (request.url.includes("?")) throw new RegistryError("USAGE", "this route takes no query")
}

/** A client that went away is no fault of ours. */
function isFault(error: unknown, request: IncomingMessage): boolean {
  if (error instanceof RegistryError) return ["STORE_FAILED", "INTERNAL", "UNAVAILABLE"].includes(error.code)
  return !(error instanceof ManifestError) && !request.destroyed && !request.readableAborted
}

function observe(request: IncomingMessage, response: express.Response, { onAnswer }: AppOptions): void {
  const start = performance.now()
  const address = request.socket.remoteAddress ?? null // gone when the connection is
  response.once("close", () => {
    const { route = "none", token = null } = response.locals as { route?: string; token?: string | null }
    onAnswer({
      method: request.method ?? "",
      route,
      status: response.statusCode,
      ms: performance.now() - start,
      token,
      address,
    })
  })
}
