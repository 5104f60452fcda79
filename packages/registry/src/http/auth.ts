/**
 * Tokens say who may ask; signatures say what is true. The file keeps only hashes:
 *
 *     { "tokens": [{ "name": "ci", "sha256": "2c26b46b…", "scopes": ["publish", "read"], "expires": "2027-01-01T00:00:00Z" }],
 *       "anonymousRead": false }
 */
import { createHash, timingSafeEqual } from "node:crypto"

import { parseJson } from "@weighlock/manifest"
import { z } from "zod"

import { RegistryError } from "../errors.ts"
import type { Scope } from "./route.ts"

export interface Token {
  readonly name: string
  readonly sha256: string
  readonly scopes: readonly Scope[]
  readonly expires?: string | undefined
}

export interface Tokens {
  readonly tokens: readonly Token[]
  readonly anonymousRead: boolean
}

const token = z.strictObject({
  name: z.string().min(1).max(64),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  scopes: z.array(z.enum(["read", "publish"])).min(1),
  expires: z.iso.datetime().optional(),
})
const tokenFile = z.strictObject({ tokens: z.array(token).min(1).max(1000), anonymousRead: z.boolean().default(true) })

/** Throws USAGE: no text of the file is quoted. */
export function parseTokens(bytes: Uint8Array): Tokens {
  try {
    return tokenFile.parse(parseJson(bytes))
  } catch (cause) {
    throw new RegistryError("USAGE", "the token file is not of the form this registry reads", {
      hint: '{"tokens":[{"name":"ci","sha256":"<hex of sha256(token)>","scopes":["publish","read"]}]}',
      cause,
    })
  }
}

/**
 * The name of the token; `null` where none was needed. Throws UNAUTHENTICATED (no such token, or expired) or FORBIDDEN (token
 * without the scope). No tokens: loopback, all may.
 */
export function authorize(
  tokens: Tokens | undefined,
  header: string | undefined,
  scope: Scope,
  now: Date,
): string | null {
  if (!tokens) return null
  if (header === undefined && scope === "read" && tokens.anonymousRead) return null
  const found = findToken(tokens, header ?? "")
  if (!found)
    throw new RegistryError("UNAUTHENTICATED", header ? "no such token" : "this needs a token", {
      hint: "set WEIGHLOCK_TOKEN",
    })
  if (found.expires !== undefined && new Date(found.expires) <= now) {
    throw new RegistryError("UNAUTHENTICATED", `the token ${found.name} has expired`)
  }
  const mayRead = scope === "read" && tokens.anonymousRead
  if (!mayRead && !found.scopes.includes(scope)) {
    throw new RegistryError("FORBIDDEN", `the token ${found.name} does not have the scope ${scope}`)
  }
  return found.name
}

/** Every hash is compared, in constant time: how long it takes says nothing about any of them. */
function findToken({ tokens }: Tokens, header: string): Token | undefined {
  const [, text = ""] = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(header) ?? []
  const presented = createHash("sha256").update(text).digest()
  let found: Token | undefined
  for (const each of tokens) if (timingSafeEqual(Buffer.from(each.sha256, "hex"), presented)) found = each
  return text === "" ? undefined : found
}
