/**
 * A route as data: the server is built from a list of these, and /openapi.json is written from the same list, with the same
 * schemas that validate. What is not in the list does not exist.
 *
 *     { method: "get", path: "/api/v1/models/{namespace}/{name}", scope: "read", params, query, answers: { 200: ModelPage }, handle }
 */
import type { IncomingMessage, ServerResponse } from "node:http"

import type { z } from "zod"

export type Scope = "read" | "publish"
export type Method = "get" | "head" | "post" | "put"

/** What an answer holds: JSON of a schema, a document of another media type, or nothing. */
export interface Answer {
  readonly description: string
  readonly schema?: z.ZodType
  readonly mediaType?: string
}

export interface Input<Params, Query> {
  readonly params: Params
  readonly query: Query
  readonly request: IncomingMessage
  readonly response: ServerResponse
}

export interface Route<Params = unknown, Query = unknown> {
  readonly method: Method
  /** OpenAPI form: `{name}` stands for one segment, `{name+}` at the end for one or more. */
  readonly path: string
  readonly summary: string
  /** The scope a token needs; "open" for what must answer without one; "grant" where a grant stands for the token. */
  readonly scope: Scope | "open" | "grant"
  readonly params?: z.ZodType<Params>
  /** What a path whose parameters are of no form means; MANIFEST_INVALID unless told. */
  readonly oddParams?: "NOT_FOUND"
  readonly query?: z.ZodType<Query>
  /** The JSON body, or the media type of a body whose bytes are signed or raw. */
  readonly body?: { readonly schema?: z.ZodType; readonly mediaType: string }
  readonly answers: Readonly<Record<number, Answer>>
  readonly handle: (input: Input<Params, Query>) => Promise<void>
}

/** Routes by path, in the order of the list. */
export function byPath(routes: readonly Route[]): ReadonlyMap<string, readonly Route[]> {
  const paths = new Set(routes.map(({ path }) => path))
  return new Map([...paths].map((path) => [path, routes.filter((each) => each.path === path)]))
}

/** Checks a route's types and forgets them, so that routes of different inputs fit one list. */
export function route<Params, Query>(definition: Route<Params, Query>): Route {
  return definition as unknown as Route
}
