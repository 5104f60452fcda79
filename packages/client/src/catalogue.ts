/** What a registry says it holds. A listing is a claim: only a manifest that `resolve` verified is more than that. */
import { type JsonValue, parseFixedReference, parseJson, parseModelName } from "@weighlock/manifest"
import { ClientError } from "./errors.ts"
import { type Resolved, resolve } from "./resolve.ts"
import { type ClientOptions, withSession } from "./session.ts"

/** Of a thousand items each: a listing that never ends is not one. */
const mostPages = 1000

export interface ListedModel {
  readonly model: string
  readonly versions: number
}
export interface ListedVersion {
  readonly version: string
  /** Manifest digest, hex. */
  readonly manifest: string
  readonly createdAt: string
}

/** The verified manifest and its bundle, without the files. */
export async function showModel(reference: string, options: ClientOptions): Promise<Resolved> {
  const wanted = parseFixedReference(reference)
  return await withSession(options, wanted.host, (session) => resolve(session, wanted))
}

export async function listModels(options: ClientOptions): Promise<ListedModel[]> {
  return await pages(options, "the list of models", "api/v1/models", "models", (item) => ({
    model: text(item, "model"),
    versions: Number(item["versions"]),
  }))
}

export async function listVersions(model: string, options: ClientOptions): Promise<ListedVersion[]> {
  return await pages(options, model, `api/v1/models/${parseModelName(model)}`, "versions", (item) => ({
    version: text(item, "version"),
    manifest: text(item, "manifest"),
    createdAt: text(item, "createdAt"),
  }))
}

async function pages<T>(
  options: ClientOptions,
  what: string,
  path: string,
  list: string,
  read: (item: Record<string, JsonValue>) => T,
): Promise<T[]> {
  return await withSession(options, undefined, async ({ transport }) => {
    const items: T[] = []
    let after = ""
    let count = 0
    do {
      if (count++ === mostPages) throw malformed()
      const query = after === "" ? "" : `?after=${after}`
      const { body } = await transport.call(`${path}${query}`, { what, method: "GET", limit: 2 ** 24 })
      const page = object(parseJson(body, "the listing"))
      const members = page[list]
      if (!Array.isArray(members)) throw malformed()
      items.push(...members.map((member) => read(object(member))))
      const next = page["next"]
      if (next !== undefined && (typeof next !== "string" || next === after || !/^[A-Za-z0-9._/-]+$/.test(next)))
        throw malformed()
      after = next ?? ""
    } while (after !== "")
    return items
  })
}

function object(value: JsonValue): Record<string, JsonValue> {
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw malformed()
  return value
}

function text(item: Record<string, JsonValue>, key: string): string {
  const value = item[key]
  if (typeof value !== "string" || /[\p{Cc}\p{Cf}]/u.test(value)) throw malformed()
  return value
}

function malformed(): ClientError {
  return new ClientError("PROTOCOL", "the registry's listing is not of the documented form")
}
