/** What a registry says it holds. A listing is a claim: only a manifest that `resolve` verified is more than that. */
import { parseFixedReference, parseModelName } from "@weighlock/manifest"
import { asMembers, type JsonMembers, listOf, malformed, parseMembers, textOf } from "./json-answer.ts"
import { type Resolved, resolve } from "./resolve.ts"
import { type ClientOptions, withSession } from "./session.ts"
import type { Transport } from "./transport.ts"

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
  return await collect(options, "the list of models", "api/v1/models", "models", readModel)
}

export async function listVersions(model: string, options: ClientOptions): Promise<ListedVersion[]> {
  return await collect(options, model, `api/v1/models/${parseModelName(model)}`, "versions", readVersion)
}

export function readModel(item: JsonMembers): ListedModel {
  return { model: name(item, "model"), versions: Number(item["versions"]) }
}

export function readVersion(item: JsonMembers): ListedVersion {
  return { version: name(item, "version"), manifest: name(item, "manifest"), createdAt: name(item, "createdAt") }
}

async function collect<T>(
  options: ClientOptions,
  what: string,
  path: string,
  list: string,
  read: (item: JsonMembers) => T,
): Promise<T[]> {
  return await withSession(options, undefined, async ({ transport }) => {
    const items: T[] = []
    for await (const item of listPages(transport, what, path, list, read)) items.push(item)
    return items
  })
}

/** A listing, page by page. */
export async function* listPages<T>(
  transport: Transport,
  what: string,
  path: string,
  list: string,
  read: (item: JsonMembers) => T,
): AsyncGenerator<T> {
  let after = ""
  let count = 0
  do {
    if (count++ === mostPages) throw malformed(what)
    const query = after === "" ? "" : `?after=${after}`
    const { body } = await transport.call(`${path}${query}`, { what, method: "GET", limit: 2 ** 24 })
    const page = parseMembers(body, what)
    for (const member of listOf(page, list, what)) yield read(asMembers(member, what))
    const next = page["next"]
    if (next !== undefined && (typeof next !== "string" || next === after || !/^[A-Za-z0-9._/-]+$/.test(next)))
      throw malformed(what)
    after = next ?? ""
  } while (after !== "")
}

function name(item: JsonMembers, key: string): string {
  const value = textOf(item, key, "a listing")
  if (/[\p{Cc}\p{Cf}]/u.test(value)) throw malformed("a listing")
  return value
}
