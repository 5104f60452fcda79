/** One request as a client of a registry sends it, without the SDK: for probing. */
import { createHash } from "node:crypto"
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from "node:http"
import { request as httpsRequest } from "node:https"

import type { Grant } from "./blobs.ts"
import { type Calls, failed } from "./s3-calls.ts"

/** Seconds that a grant for a probe is good for. */
export const probeLife = 300
const most = 65_536

export interface Answered {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Its first 64 KiB. */
  readonly body: Buffer
}

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
export const isSuccess = (status: number): boolean => status >= 200 && status < 300

/** With a grant; `more`: headers that were not signed. */
export async function send(
  calls: Calls,
  { url, headers }: Grant,
  bytes: Uint8Array,
  more: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  return await exchange(calls, "PUT", new URL(url), { ...headers, ...more }, bytes)
}

export async function exchange(
  { place, timeouts }: Calls,
  method: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  bytes: Uint8Array = new Uint8Array(),
): Promise<Answered> {
  const ask = url.protocol === "https:" ? httpsRequest : httpRequest
  const signal = AbortSignal.timeout(timeouts.idle)
  const length = method === "PUT" ? { "content-length": bytes.length } : {}
  const options = { method, headers: { ...headers, ...length }, signal, ...(place.ca && { ca: place.ca }) }
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      ask(url, options, resolve).on("error", reject).end(bytes)
    })
    return { status: answer.statusCode ?? 0, headers: answer.headers, body: await beginning(answer) }
  } catch (cause) {
    throw failed(method, cause)
  }
}

async function beginning(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let left = most
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk.subarray(0, left))
    left -= chunk.length
    if (left <= 0) break // which ends the connection, too
  }
  return Buffer.concat(chunks)
}
