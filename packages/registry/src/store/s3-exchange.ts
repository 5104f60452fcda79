/** One request as a client of a registry sends it, without the SDK: for probing. */
import { createHash } from "node:crypto"

import type { HttpAnswer } from "@weighlock/node"
import type { Grant } from "./blobs.ts"
import type { Calls } from "./s3-calls.ts"

/** Seconds that a grant for a probe is good for. */
export const probeLife = 300

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
export const isSuccess = (status: number): boolean => status >= 200 && status < 300

/** With a grant; `more`: headers that were not signed. */
export async function send(
  calls: Calls,
  { url, headers }: Grant,
  bytes: Uint8Array,
  more: Readonly<Record<string, string>> = {},
): Promise<HttpAnswer> {
  return await exchange(calls, "PUT", new URL(url), { ...headers, ...more }, bytes)
}

export async function exchange(
  calls: Calls,
  method: "GET" | "PUT",
  url: URL,
  headers: Readonly<Record<string, string>>,
  bytes?: Uint8Array,
): Promise<HttpAnswer> {
  try {
    return await calls.http.request(url, { method, headers, ...(bytes && { body: bytes }) })
  } catch (cause) {
    throw calls.failed(method, cause)
  }
}
