/**
 * TF Serving's paths, read from the raw request target:
 *
 *     POST /v1/models/mnist:predict                   GET /v1/models/mnist
 *     POST /v1/models/mnist/versions/1.2.0:predict    GET /v1/models/mnist/versions/1.2.0/metadata
 *
 * and the notebook's own call, one instance to its result: POST /v1/algo/acme/mnist, or /v1/algo/acme/mnist/1.2.0
 *
 * None of them needs a percent-encoding, so one is refused instead of decoded: no second spelling, no `%2e%2e`.
 */
import { badRequest, notFound, Refusal } from "./refusal.ts"

export type Route =
  | { readonly to: "healthz" }
  | { readonly to: "readyz" }
  | { readonly to: "page" }
  /** `model` is the published name, `acme/mnist`. */
  | { readonly to: "algo"; readonly model: string; readonly version: string | undefined }
  | { readonly to: "status" | "metadata" | "predict"; readonly model: string; readonly version: string | undefined }

const modelPath =
  /^\/v1\/models\/(?<model>[A-Za-z0-9._-]+)(?:\/versions\/(?<version>[0-9A-Za-z.-]+)|\/labels\/(?<label>[^/:]+))?(?<rest>\/metadata|:[a-z]+)?$/

const algoPath = /^\/v1\/algo\/(?<model>[A-Za-z0-9._-]+\/[A-Za-z0-9._-]+)(?:\/(?<version>[0-9A-Za-z.-]+))?$/

/** Throws a 400, 404 or 405. */
export function parseRoute(method: string, target: string): Route {
  const [path = ""] = target.split("?", 1)
  if (!path.startsWith("/") || /[%\\#]|[^\x21-\x7e]/.test(path))
    throw badRequest("the path holds a character no route has")
  if (path === "/healthz" || path === "/readyz") {
    requireMethod(method, "GET")
    return path === "/healthz" ? { to: "healthz" } : { to: "readyz" }
  }
  if (path === "/") {
    requireMethod(method, "GET")
    return { to: "page" }
  }
  const algo = algoPath.exec(path)?.groups
  if (algo?.["model"] !== undefined) {
    requireMethod(method, "POST")
    return { to: "algo", model: algo["model"], version: algo["version"] }
  }
  const { model, version, label, rest } = modelPath.exec(path)?.groups ?? {}
  if (model === undefined) throw notFound("no such route; try /v1/models/{model} or /v1/models/{model}:predict")
  if (label !== undefined) throw notFound("labels are not served; name a version: /versions/{version}")
  return modelRoute(method, model, version, rest)
}

function modelRoute(method: string, model: string, version: string | undefined, rest: string | undefined): Route {
  if (rest === ":predict") {
    requireMethod(method, "POST")
    return { to: "predict", model, version }
  }
  if (rest?.startsWith(":")) throw notFound(`${rest} is not served; :predict is`)
  requireMethod(method, "GET")
  return { to: rest === undefined ? "status" : "metadata", model, version }
}

function requireMethod(method: string, allowed: "GET" | "POST"): void {
  if (method === allowed || (method === "HEAD" && allowed === "GET")) return
  const allow = allowed === "GET" ? "GET, HEAD" : allowed
  throw new Refusal(405, `${method} is not for this path; ${allow} is`, { allow })
}
