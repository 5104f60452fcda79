/** OpenAPI 3.1, written from the routes and the very schemas that validate them. */
import { z } from "zod"

import { allowedMethods } from "./app.ts"
import { type Answer, type Route, byPath } from "./route.ts"
import { problemSchema } from "./schemas.ts"

type Json = Readonly<Record<string, unknown>>

export interface Access {
  /** Whether the registry knows tokens; without them everybody on this machine may do everything. */
  readonly tokens: boolean
  /** Whether reading needs none. */
  readonly anonymousRead: boolean
}

export function openApiOf(routes: readonly Route[], version: string, access: Access): Json {
  return {
    openapi: "3.1.0",
    info: { title: "Weighlock registry", version, license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
    paths: Object.fromEntries(
      [...byPath(routes)].map(([path, each]) => [path.replace("+}", "}"), pathItem(each, access)]),
    ),
    components: {
      securitySchemes: {
        ...(access.tokens && { token: { type: "http", scheme: "bearer" } }),
        grant: { type: "apiKey", in: "header", name: "weighlock-grant" },
      },
      schemas: { Problem: schemaOf(problemSchema) },
    },
  }
}

/** HEAD is written down wherever GET is: every method that answers is in the document. */
function pathItem(routes: readonly Route[], access: Access): Json {
  const operations = allowedMethods(routes).map((method) => {
    const route =
      routes.find((each) => each.method === method.toLowerCase()) ?? routes.find(({ method }) => method === "get")
    return [method.toLowerCase(), route && operation(route, method, access)]
  })
  return Object.fromEntries(operations) as Json
}

function operation(route: Route, method: string, access: Access): Json {
  const answers = Object.entries(route.answers).map(([status, answer]) => [status, answerOf(answer, method)])
  return {
    summary: route.summary,
    security: securityOf(route, access),
    parameters: [...parametersOf(route.params, "path"), ...parametersOf(route.query, "query")],
    ...(route.body && { requestBody: { required: true, content: contentOf(route.body) } }),
    responses: { ...Object.fromEntries(answers), default: problemAnswer },
  }
}

const problemAnswer = {
  description: "A refusal; `code` is stable.",
  content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
}

function securityOf({ scope }: Route, { tokens, anonymousRead }: Access): readonly Json[] {
  if (scope === "grant") return [{ grant: [] }]
  if (scope === "open" || !tokens) return []
  return scope === "read" && anonymousRead ? [{}, { token: [] }] : [{ token: [] }]
}

function answerOf(answer: Answer, method: string): Json {
  const hasBody = method !== "HEAD" && (answer.schema ?? answer.mediaType) !== undefined
  return { description: answer.description, ...(hasBody && { content: contentOf(answer) }) }
}

function contentOf({ schema, mediaType = "application/json" }: { schema?: z.ZodType; mediaType?: string }): Json {
  return { [mediaType]: schema ? { schema: schemaOf(schema) } : {} }
}

function parametersOf(schema: z.ZodType | undefined, place: "path" | "query"): readonly Json[] {
  if (!schema) return []
  const { properties = {}, required = [] } = schemaOf(schema) as { properties?: Json; required?: readonly string[] }
  return Object.entries(properties).map(([name, each]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: each,
  }))
}

function schemaOf(schema: z.ZodType): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" })
  return rest
}
