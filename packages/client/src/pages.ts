/**
 * A listing of a registry, page by page, until a page names no next one:
 *
 *     GET api/v1/models                      {"models":[{"model":"acme/mnist","versions":3},…],"next":"acme/mnist"}
 *     GET api/v1/models?after=acme/mnist     {"models":[]}
 *
 * Each page has a cap of its own, and that is not enough: a registry that always names a next page would be read until
 * memory ends. So the caps here are over all pages, and every page must lead somewhere new.
 */
import { ClientError } from "./errors.ts"
import { asMembers, type JsonMembers, listOf, malformed, parseMembers } from "./json-answer.ts"
import type { Transport } from "./transport.ts"

/** Of one listing. A registry sends a thousand on a page. */
export const mostItems = 1_000_000
export const mostPages = 4000
/** A page in bytes. */
const largestPage = 2 ** 24

export interface Listing<T> {
  /** In an error: `the list of models`. */
  readonly what: string
  readonly path: string
  /** The member that holds the items. */
  readonly list: string
  readonly read: (item: JsonMembers) => T
}

/** Throws PROTOCOL for what is no listing, and for one beyond the caps. */
export async function* readPages<T>(transport: Transport, listing: Listing<T>): AsyncGenerator<T> {
  const { what, path, list, read } = listing
  const count = new PageCount(what)
  for (let after: string | null = null; ;) {
    const query: string = after === null ? "" : `?after=${after}`
    const { body } = await transport.call(`${path}${query}`, { what, method: "GET", limit: largestPage })
    const page = parseMembers(body, what)
    const items = listOf(page, list, what)
    after = cursorOf(page, what)
    count.add(items.length, after)
    for (const item of items) yield read(asMembers(item, what))
    if (after === null) return
  }
}

function cursorOf({ next }: JsonMembers, what: string): string | null {
  if (next === undefined) return null
  if (typeof next === "string" && /^[A-Za-z0-9._/-]{1,256}$/.test(next)) return next
  throw malformed(`${what}: next`)
}

/** What was read of one listing so far. */
export class PageCount {
  readonly #what: string
  readonly #cursors = new Set<string | number>()
  #items = 0
  #pages = 0

  constructor(what: string) {
    this.#what = what
  }

  /** A page of so many items, and the cursor of the next one. Throws PROTOCOL where it is one too many, or leads nowhere. */
  add(items: number, next: string | number | null): void {
    this.#items += items
    this.#pages++
    if (this.#items > mostItems) throw this.#endless(`${mostItems} items`)
    if (next === null) return
    if (items === 0 || this.#cursors.has(next)) throw malformed(`${this.#what}: a next page that leads no further`)
    if (this.#pages === mostPages) throw this.#endless(`${mostPages} pages`)
    this.#cursors.add(next)
  }

  #endless(cap: string): ClientError {
    return new ClientError("PROTOCOL", `${this.#what} does not end: it has more than ${cap}`, {
      hint: "a registry that holds so much is read from its log: weighlock log export",
    })
  }
}
