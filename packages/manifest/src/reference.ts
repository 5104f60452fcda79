/**
 * A reference says which model to load, and from where it may be asked:
 *
 *     acme/mnist@1.2.0                               a version
 *     models.acme.example/acme/mnist@1.2.0           … at this host (three segments)
 *     acme/mnist@sha256:<64 hex>                     a manifest digest: the strongest pin
 *     acme/mnist@^1.2                                a range     (not yet)
 *     acme/mnist:prod                                an alias    (not yet)
 *
 * There is no implicit `latest`: a bare name is refused.
 */
import { isSha256Hex } from "./encoding.ts"
import { invalid, ManifestError } from "./errors.ts"
import { isAlias, isOrigin, isVersion, parseModelName } from "./names.ts"

export type Selector =
  | { readonly by: "version"; readonly version: string }
  | { readonly by: "digest"; readonly digest: string }
  | { readonly by: "range"; readonly range: string }
  | { readonly by: "alias"; readonly alias: string }

export interface Reference {
  /** Where to ask; never compared with the registry's identity. */
  readonly host?: string
  readonly model: string
  readonly selector: Selector
}

/** What this version can resolve: the other selectors move, and only a log can say where they stand. */
export interface FixedReference extends Reference {
  readonly selector: Extract<Selector, { by: "version" | "digest" }>
}

export function parseReference(text: string): Reference {
  if (typeof text !== "string")
    throw new ManifestError("USAGE", "nothing says which model: the reference is missing", {
      hint: "write MODEL@VERSION, such as acme/mnist@1.2.0",
    })
  const at = text.indexOf("@")
  const colon = text.indexOf(":", text.lastIndexOf("/"))
  const cut = at >= 0 ? at : colon
  const { host, model } = parsePlace(cut < 0 ? text : text.slice(0, cut))
  if (cut < 0) throw bareName(model)
  const selector = at >= 0 ? parsePin(text.slice(at + 1)) : parseAlias(text.slice(colon + 1))
  return { ...(host === undefined ? {} : { host }), model, selector }
}

/** A reference that this version can resolve; NEEDS_LOG for a range or an alias. */
export function parseFixedReference(text: string): FixedReference {
  const { selector, ...place } = parseReference(text)
  if (selector.by === "version" || selector.by === "digest") return { ...place, selector }
  throw new ManifestError(
    "NEEDS_LOG",
    `${JSON.stringify(text)}: this release has no ${selector.by === "range" ? "ranges" : "aliases"}`,
    {
      hint: `write an exact version, such as ${place.model}@1.2.0, or ${place.model}@sha256:<manifest digest>`,
    },
  )
}

export function formatReference({ host, model, selector }: Reference): string {
  return `${host === undefined ? "" : `${host}/`}${model}${formatSelector(selector)}`
}

function formatSelector(selector: Selector): string {
  switch (selector.by) {
    case "version":
      return `@${selector.version}`
    case "digest":
      return `@sha256:${selector.digest}`
    case "range":
      return `@${selector.range}`
    case "alias":
      return `:${selector.alias}`
  }
}

function parsePlace(text: string): { host?: string; model: string } {
  const slash = text.indexOf("/")
  const hasHost = text.split("/").length === 3
  const model = parseModelName(hasHost ? text.slice(slash + 1) : text)
  if (!hasHost) return { model }
  const host = text.slice(0, slash)
  if (!isOrigin(host)) throw invalid(`${JSON.stringify(host)} is not a host`)
  return { host, model }
}

function parsePin(text: string): Selector {
  if (text.startsWith("sha256:") && isSha256Hex(text.slice(7))) return { by: "digest", digest: text.slice(7) }
  if (/^\^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){0,2}$/.test(text) && text.length <= 64) return { by: "range", range: text }
  if (isVersion(text)) return { by: "version", version: text }
  throw invalid(
    `${JSON.stringify(text)} is neither a version nor a digest`,
    "write @1.2.0 or @sha256:<64 lower-case hex digits>",
  )
}

function parseAlias(text: string): Selector {
  if (isAlias(text)) return { by: "alias", alias: text }
  throw invalid(
    `${JSON.stringify(text)} is not an alias`,
    "an alias is a lower-case letter, then up to 31 of a-z 0-9 -",
  )
}

function bareName(model: string): ManifestError {
  return new ManifestError("USAGE", `${model} names no version, and there is no implicit latest`, {
    hint: `write ${model}@1.2.0 or ${model}@sha256:<manifest digest>`,
  })
}
