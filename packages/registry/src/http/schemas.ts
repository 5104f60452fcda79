/** The documents of the HTTP API. Requests are validated by these; /openapi.json is generated from them. */
import { limits, versionPattern } from "@weighlock/manifest"
import { z } from "zod"

export interface ModelParams {
  readonly namespace: string
  readonly name: string
}
export interface VersionParams extends ModelParams {
  readonly version: string
}
export interface DigestParams {
  readonly sha256: string
}
export interface PartParams extends DigestParams {
  readonly part: string
}
export interface PageQuery {
  readonly after?: string | undefined
  readonly limit?: string | undefined
}
export interface ModelsQuery extends PageQuery {
  readonly query?: string | undefined
}
export interface UploadsRequest {
  readonly files: readonly {
    readonly sha256: string
    readonly size: number
    readonly parts?: { readonly size: number; readonly digests: string } | undefined
  }[]
}

const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const segment = z
  .string()
  .max(64)
  .regex(/^[a-z0-9]+([._-][a-z0-9]+)*$/)
const version = z.string().max(64).regex(new RegExp(versionPattern), "not a semantic version without build metadata")
const count = z.int().min(0)
/** Of two segments that make no name together (too long, say) there is nothing: NOT_FOUND. */
const modelNames = { namespace: segment, name: segment }

export const modelParams: z.ZodType<ModelParams> = z.strictObject(modelNames)
export const versionParams: z.ZodType<VersionParams> = z.strictObject({ ...modelNames, version })
export const digestParams: z.ZodType<DigestParams> = z.strictObject({ sha256 })
export const partParams: z.ZodType<PartParams> = z.strictObject({ sha256, part: z.string().regex(/^[1-9][0-9]{0,3}$/) })
export const trustParams: z.ZodType<{ readonly version: string }> = z.strictObject({
  version: z.string().regex(/^[1-9][0-9]{0,8}$/),
})

export const pageLimit = 1000
const limit = z
  .string()
  .regex(/^([1-9][0-9]{0,2}|1000)$/)
  .optional()
export const modelsQuery: z.ZodType<ModelsQuery> = z.strictObject({
  query: z
    .string()
    .max(96)
    .regex(/^[a-z0-9._/-]*$/)
    .optional(),
  after: z
    .string()
    .max(96)
    .regex(/^[a-z0-9._/-]*$/)
    .optional(),
  limit,
})
export const versionsQuery: z.ZodType<PageQuery> = z.strictObject({ after: version.optional(), limit })

/** RFC 4648 §4 in its one spelling: with padding, whose spare bits are zero. */
const base64 = z.string().regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/)

const parts = z.strictObject({
  size: z.int().min(limits.part),
  digests: base64.describe("base64 of the concatenated 32-byte SHA-256 of each part"),
})
const upload = z.strictObject({ sha256, size: count, parts: parts.optional() })
export const uploadsRequest: z.ZodType<UploadsRequest> = z.strictObject({
  files: z.array(upload).min(1).max(limits.files),
})

const grant = z.strictObject({
  part: z.int().min(1),
  method: z.literal("PUT"),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
})
const uploadState = z.enum(["present", "proving", "needed"])
export const uploadsAnswer: z.ZodType = z.strictObject({
  files: z.array(z.strictObject({ sha256, state: uploadState, grants: z.array(grant) })),
})
export const completeAnswer: z.ZodType = z.strictObject({ sha256, state: uploadState })

export const infoAnswer: z.ZodType = z.strictObject({
  name: z.string(),
  version: z.string(),
  log: z.strictObject({ origin: z.string(), vkeys: z.array(z.string()), size: count }),
  trust: z.strictObject({ version: z.int().min(1), sha256 }),
  publicUrl: z.string().describe("where grants of this registry point, unless a bucket takes the files"),
  limits: z.record(z.string(), z.int()),
})
const next = z.string().optional().describe("pass as `after` for the next page; absent on the last")
export const modelsAnswer: z.ZodType = z.strictObject({
  models: z.array(z.strictObject({ model: z.string(), versions: count })),
  next,
})
export const modelAnswer: z.ZodType = z.strictObject({
  model: z.string(),
  versions: z.array(z.strictObject({ version, manifest: sha256, createdAt: z.string() })),
  aliases: z.array(z.strictObject({ alias: z.string(), version, manifest: sha256 })),
  next,
})

const signature = z.strictObject({ keyid: sha256, sig: base64 })
const envelope = z.strictObject({
  payload: base64,
  payloadType: z.string(),
  signatures: z.array(signature).min(1).max(limits.signatures),
})
export const envelopeSchema: z.ZodType = envelope
export const bundleSchema: z.ZodType = z.strictObject({
  mediaType: z.literal("application/vnd.weighlock.bundle.v1+json"),
  envelope,
  entry: base64.describe("the log entry's exact bytes"),
  proof: z.string().describe("c2sp.org/tlog-proof@v1, with the signed checkpoint"),
})
export const healthAnswer: z.ZodType = z.strictObject({ status: z.string() })
const askedWitness = z.strictObject({
  name: z.string(),
  state: z.string(),
  size: count.nullable(),
  time: count.nullable().describe("of its newest cosignature, POSIX seconds"),
})
const witnesses = z.strictObject({
  mode: z.enum(["require", "degrade"]),
  quorum: z.strictObject({ size: count, freshness: count }).nullable(),
  waiting: count.describe("ms for which the newest checkpoint has lacked the quorum"),
  asked: z.array(askedWitness),
})
export const readyAnswer: z.ZodType = z.strictObject({
  status: z.string(),
  log: z.strictObject({
    size: count,
    checkpointAt: z.string(),
    witnesses: witnesses.optional(),
    folder: z.strictObject({ behind: count }).optional(),
  }),
  trust: z.strictObject({ version: z.int().min(1), expires: z.string() }),
  disk: z.strictObject({ free: count.describe("bytes, of the disk of the data folder") }),
  latency: z
    .strictObject({ answers: count, p50: z.number(), p99: z.number() })
    .describe("ms, of the last answers that are not files"),
})
export const problemSchema: z.ZodType = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
  hint: z.string().optional(),
})
