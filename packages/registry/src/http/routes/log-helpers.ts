/**
 * Proofs and pages of entries ready-made, for clients that do not want to compute them from tiles. They prove nothing by
 * themselves: whoever asks verifies them against a checkpoint.
 */
import { encodeBase64 } from "@weighlock/tlog"

import type { LogReader } from "../../log/reader.ts"
import { sendJson } from "../respond.ts"
import { type Route, route } from "../route.ts"
import { modelParams, pageLimit } from "../schemas.ts"
import {
  consistencyAnswer,
  consistencyQuery,
  entriesAnswer,
  entriesQuery,
  historyAnswer,
  historyQuery,
  indexParams,
  proofAnswer,
  proofQuery,
} from "../schemas-log.ts"

export function logHelperRoutes(reader: LogReader): readonly Route[] {
  return [
    route({
      method: "get",
      path: "/api/v1/log/proof/{index}",
      summary: "An entry with its inclusion proof in the tree of a size, by default the one that is served.",
      scope: "read",
      params: indexParams,
      query: proofQuery,
      answers: { 200: { description: "Entry and proof.", schema: proofAnswer } },
      handle: async ({ params, query, response }) => {
        const size = query.size === undefined ? reader.checkpoint().size : Number(query.size)
        const { entry, hashes } = await reader.proof(Number(params.index), size)
        sendJson(response, { index: Number(params.index), size, entry: encodeBase64(entry), hashes: inBase64(hashes) })
      },
    }),
    route({
      method: "get",
      path: "/api/v1/log/consistency",
      summary: "That the tree of one size begins with the tree of a smaller one.",
      scope: "read",
      query: consistencyQuery,
      answers: { 200: { description: "The consistency proof.", schema: consistencyAnswer } },
      handle: async ({ query, response }) => {
        const [from, to] = [Number(query.from), Number(query.to)]
        sendJson(response, { from, to, hashes: inBase64(await reader.consistency(from, to)) })
      },
    }),
    route({
      method: "get",
      path: "/api/v1/log/entries",
      summary: "Entries in their order; a page may hold fewer than asked for.",
      scope: "read",
      query: entriesQuery,
      answers: { 200: { description: "One page.", schema: entriesAnswer } },
      handle: async ({ query: { from, limit }, response }) => {
        const { size } = reader.checkpoint()
        const entries = await reader.page(Number(from), Number(limit ?? pageLimit), size)
        sendJson(response, { from: Number(from), size, entries: entries.map(({ leaf }) => encodeBase64(leaf)) })
      },
    }),
    route({
      method: "get",
      path: "/api/v1/models/{namespace}/{name}/history",
      summary: "Everything that was logged about a model, proven under one checkpoint.",
      scope: "read",
      params: modelParams,
      query: historyQuery,
      answers: { 200: { description: "One page.", schema: historyAnswer } },
      handle: async ({ params: { namespace, name }, query: { after, limit }, response }) => {
        const model = `${namespace}/${name}`
        const page = await reader.history(model, Number(after ?? -1), Number(limit ?? pageLimit))
        const { checkpoint, entries, next } = page
        sendJson(response, {
          model,
          size: checkpoint.size,
          checkpoint: checkpoint.note,
          entries: entries.map(({ index, leaf, hashes }) => ({
            index,
            entry: encodeBase64(leaf),
            hashes: inBase64(hashes),
          })),
          ...(next !== null && { next }),
        })
      },
    }),
  ]
}

const inBase64 = (hashes: readonly Uint8Array[]): readonly string[] => hashes.map(encodeBase64)
