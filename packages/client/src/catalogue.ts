/** What a registry says it holds. A listing is a claim: only a manifest that `resolve` verified is more than that. */
import { isModelName, isVersion, parseFixedReference, parseModelName } from "@weighlock/manifest"
import { countOf, type JsonMembers, malformed, parseMembers, textOf } from "./json-answer.ts"
import { type Listing, readPages } from "./pages.ts"
import { type Resolved, resolve } from "./resolve.ts"
import { type ClientOptions, withSession } from "./session.ts"

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

export interface RegistryInfo {
  /** URL: where it says that clients reach it. */
  readonly publicUrl: string
}

/** What the registry says of itself: a claim. Throws PROTOCOL. */
export async function registryInfo(options: ClientOptions): Promise<RegistryInfo> {
  const what = "what the registry says of itself"
  return await withSession(options, undefined, async ({ transport }) => {
    const { body } = await transport.call("api/v1/info", { what, method: "GET", limit: 65_536 })
    return { publicUrl: textOf(parseMembers(body, what), "publicUrl", what) }
  })
}

export async function listModels(options: ClientOptions): Promise<ListedModel[]> {
  const all = await collect(options, modelListing, ({ model }) => model)
  for (const { model } of all)
    if (!isModelName(model)) throw malformed(`${modelListing.what}: ${JSON.stringify(model)}`)
  return all
}

export async function listVersions(model: string, options: ClientOptions): Promise<ListedVersion[]> {
  const listing = versionListing(parseModelName(model))
  const all = await collect(options, listing, ({ version }) => version)
  for (const { version } of all) if (!isVersion(version)) throw malformed(`${model}: ${JSON.stringify(version)}`)
  return all
}

/** What it names may be no names: an audit says which. */
export const modelListing: Listing<ListedModel> = {
  what: "the list of models",
  path: "api/v1/models",
  list: "models",
  read: (item) => ({ model: name(item, "model"), versions: countOf(item, "versions", "the list of models") }),
}

export function versionListing(model: string): Listing<ListedVersion> {
  return {
    what: `the list of versions of ${model}`,
    path: `api/v1/models/${model}`,
    list: "versions",
    read: (item) => ({
      version: name(item, "version"),
      manifest: name(item, "manifest"),
      createdAt: name(item, "createdAt"),
    }),
  }
}

/** All of it, each once. */
async function collect<T>(options: ClientOptions, listing: Listing<T>, nameOf: (item: T) => string): Promise<T[]> {
  return await withSession(options, undefined, async ({ transport }) => {
    const items = new Map<string, T>()
    for await (const item of readPages(transport, listing)) {
      const own = nameOf(item)
      if (items.has(own)) throw malformed(`${listing.what}: ${own} is in it twice`)
      items.set(own, item)
    }
    return [...items.values()]
  })
}

/** No name, digest or time is longer. What it says ends up on a terminal. */
function name(item: JsonMembers, key: string): string {
  const value = textOf(item, key, "a listing")
  if (value.length > 128 || /[\p{Cc}\p{Cf}]/u.test(value)) throw malformed(`a listing: ${key}`)
  return value
}
