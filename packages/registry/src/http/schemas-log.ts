/** The documents of the log's helper routes. The log itself (checkpoint, tiles) has the formats of C2SP. */
import { z } from "zod"

import { type PageQuery, pageLimit } from "./schemas.ts"

export interface ProofQuery {
  readonly size?: string | undefined
}
export interface ConsistencyQuery {
  readonly from: string
  readonly to: string
}
export interface EntriesQuery {
  readonly from: string
  readonly limit?: string | undefined
}

/** A count in its one spelling, below 10^15: every one of them is a JSON number exactly, and no log is that long. */
const decimal = z.string().regex(/^(0|[1-9][0-9]{0,14})$/)
const limit = z
  .string()
  .regex(/^([1-9][0-9]{0,2}|1000)$/)
  .optional()

/** c2sp.org/tlog-tiles, "Merkle Tree": a level or `entries`, groups of three digits, and the width of a partial tile. */
const tileForm =
  /^(?:[0-9]|[1-5][0-9]|6[0-3]|entries)\/(?:x[0-9]{3}\/)*[0-9]{3}(?:\.p\/(?:[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$/

export const tileParams: z.ZodType<{ readonly tile: string }> = z.strictObject({
  tile: z
    .string()
    .max(64)
    .regex(tileForm, "not a tile's path")
    .describe("<L>/<N>[.p/<W>] or entries/<N>[.p/<W>], as c2sp.org/tlog-tiles writes it"),
})
export const indexParams: z.ZodType<{ readonly index: string }> = z.strictObject({ index: decimal })
export const proofQuery: z.ZodType<ProofQuery> = z.strictObject({ size: decimal.optional() })
export const consistencyQuery: z.ZodType<ConsistencyQuery> = z.strictObject({ from: decimal, to: decimal })
export const entriesQuery: z.ZodType<EntriesQuery> = z.strictObject({ from: decimal, limit })
export const historyQuery: z.ZodType<PageQuery> = z.strictObject({
  after: decimal.optional().describe("the seq of the last entry of the page before"),
  limit,
})

const count = z.int().min(0)
const hashes = z.array(z.base64()).max(64).describe("32 bytes each")
const entry = z.base64().describe("the entry's exact bytes")

export const proofAnswer: z.ZodType = z.strictObject({ index: count, size: count, entry, hashes })
export const consistencyAnswer: z.ZodType = z.strictObject({ from: count, to: count, hashes })
export const entriesAnswer: z.ZodType = z.strictObject({
  from: count,
  size: count.describe("entries in the log that is served"),
  entries: z.array(entry).max(pageLimit),
})
export const historyAnswer: z.ZodType = z.strictObject({
  model: z.string(),
  size: count,
  checkpoint: z.string().describe("the signed note of that size"),
  entries: z.array(z.strictObject({ index: count, entry, hashes })),
  next: count.optional().describe("pass as `after` for the next page; absent on the last"),
})
