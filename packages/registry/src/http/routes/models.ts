/** Publishing a manifest, and asking what was published. */
import { limits } from "@weighlock/manifest"

import type { Registry } from "../../registry.ts"
import { readBody, requireJson } from "../body.ts"
import { sendBytes, sendJson } from "../respond.ts"
import { type Route, route } from "../route.ts"
import {
  bundleSchema,
  digestParams,
  envelopeSchema,
  modelAnswer,
  modelParams,
  modelsAnswer,
  modelsQuery,
  pageLimit,
  versionParams,
  versionsQuery,
} from "../schemas.ts"

export function modelRoutes(registry: Registry): readonly Route[] {
  return [
    route({
      method: "get",
      path: "/api/v1/models",
      summary: "Models by name.",
      scope: "read",
      query: modelsQuery,
      answers: { 200: { description: "One page of models.", schema: modelsAnswer } },
      handle: async ({ query: { query = "", after, limit }, response }) => {
        const page = pageOf(after, limit)
        const models = await registry.models(query, page)
        sendJson(response, { models, ...nextOf(models, page.limit, (last) => last.model) })
      },
    }),
    route({
      method: "get",
      path: "/api/v1/models/{namespace}/{name}",
      summary: "A model's versions in order of publication, and its aliases.",
      scope: "read",
      params: modelParams,
      query: versionsQuery,
      answers: { 200: { description: "The model.", schema: modelAnswer } },
      handle: async ({ params: { namespace, name }, query: { after, limit }, response }) => {
        const [model, page] = [`${namespace}/${name}`, pageOf(after, limit)]
        const found = await registry.versions(model, page)
        const versions = found.map(({ version, digest, createdAt }) => ({ version, manifest: digest, createdAt }))
        sendJson(response, { model, versions, aliases: [], ...nextOf(versions, page.limit, (last) => last.version) })
      },
    }),
    route({
      method: "post",
      path: "/api/v1/models/{namespace}/{name}/versions",
      summary: "Publishes a signed manifest. The same again answers the first bundle.",
      scope: "publish",
      params: modelParams,
      body: { schema: envelopeSchema, mediaType: "application/json" },
      answers: {
        201: { description: "Published.", schema: bundleSchema },
        200: { description: "Was published before.", schema: bundleSchema },
      },
      handle: async ({ params: { namespace, name }, request, response }) => {
        requireJson(request)
        const envelope = await readBody({ request, response }, limits.envelope)
        const { created, bundle, version } = await registry.publish(envelope, `${namespace}/${name}`)
        response.setHeader("location", `/api/v1/models/${namespace}/${name}/versions/${version}`)
        sendBytes(response, bundle, { status: created ? 201 : 200 })
      },
    }),
    route({
      method: "get",
      path: "/api/v1/models/{namespace}/{name}/versions/{version}",
      summary: "The bundle a version is bound to, for ever.",
      scope: "read",
      params: versionParams,
      answers: { 200: { description: "The bundle.", schema: bundleSchema } },
      handle: async ({ params: { namespace, name, version }, response }) => {
        sendBytes(response, await registry.version(`${namespace}/${name}`, version))
      },
    }),
    route({
      method: "get",
      path: "/api/v1/manifests/sha256/{sha256}",
      summary: "The bundle of the manifest with this digest.",
      scope: "read",
      params: digestParams,
      answers: { 200: { description: "The bundle.", schema: bundleSchema } },
      handle: async ({ params, response }) => sendBytes(response, await registry.manifest(params.sha256)),
    }),
  ]
}

function pageOf(after: string | undefined, limit: string | undefined): { after?: string; limit: number } {
  return { limit: Number(limit ?? pageLimit), ...(after !== undefined && { after }) }
}

function nextOf<T>(items: readonly T[], limit: number, key: (last: T) => string): { next?: string } {
  const last = items.at(-1)
  return last !== undefined && items.length === limit ? { next: key(last) } : {}
}
