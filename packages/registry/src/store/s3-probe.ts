/**
 * What a bucket does, seen by trying: under a key of its own, which is deleted afterwards.
 *
 *     await probeBucket(place)
 *     [{ name: "signed put", state: "ok", detail: "other bytes than those signed are refused (400)" }, …]
 *
 * A bucket that takes other bytes than a grant was signed for would let a client put anything under another's upload: it
 * is refused. So is one that takes a grant for a copy of another object, because a header says so that was not signed.
 */
import { randomBytes } from "node:crypto"
import { buffer } from "node:stream/consumers"

import type { HttpAnswer } from "@weighlock/node"
import { RegistryError } from "../errors.ts"
import type { Grant } from "./blobs.ts"
import { Calls, failed, odd } from "./s3-calls.ts"
import { exchange, isSuccess, probeLife as life, send, sha256 } from "./s3-exchange.ts"
import { grantPut, linkTo } from "./s3-grants.ts"
import { abortMultipart, completeMultipart, createMultipart, listMultiparts, listParts } from "./s3-multipart.ts"
import { bytesOf, copy, endsMultiparts, head, list, remove } from "./s3-objects.ts"
import type { S3Place } from "./s3-place.ts"
import { copiesForPart, copiesForNothing, keepsHeaders } from "./s3-probe-unsigned.ts"
import type { S3Timeouts } from "./s3-timeouts.ts"

export interface ProbeFinding {
  readonly name: string
  readonly state: "ok" | "warning" | "problem"
  readonly detail: string
}

const empty = Buffer.alloc(0)
const partSize = 5 * 2 ** 20 // the least that S3 takes before the last part

/** USAGE when the bucket takes bytes that were not signed for, UNAVAILABLE when it can't be asked. */
export async function requireEnforcing(place: S3Place, timeouts: Partial<S3Timeouts> = {}): Promise<void> {
  const probe = new Probe(place, timeouts)
  try {
    const taken = (await probe.takesOtherBytes()) ? "PUT" : (await probe.takesOtherParts()) ? "UploadPart" : null
    if (taken !== null)
      throw new RegistryError("USAGE", `this store does not enforce the signed payload hash of ${taken}`, {
        hint: "anybody with a grant could write anything: take a store that does; weighlock doctor --store says more",
      })
    if (await probe.copiesForPart())
      throw new RegistryError("USAGE", "this store obeys a copy source that was not signed", {
        hint: "anybody with a grant could read the whole bucket: take a store that does not",
      })
  } finally {
    await probe.close()
  }
}

/** Never throws: what can't be asked is a finding. */
export async function probeBucket(
  place: S3Place,
  timeouts: Partial<S3Timeouts> = {},
): Promise<readonly ProbeFinding[]> {
  const probe = new Probe(place, timeouts)
  const findings: ProbeFinding[] = []
  const checks: readonly [string, () => Promise<Omit<ProbeFinding, "name">>][] = [
    ["signed put", () => enforced(probe.takesOtherBytes())],
    ["signed part", () => enforced(probe.takesOtherParts())],
    ["unsigned copy", () => probe.copies()],
    ["unsigned headers", () => probe.headers()],
    ["objects", () => probe.objects()],
    ["ranges", () => probe.ranges()],
    ["multipart", () => probe.multipart()],
    ["conditional", () => probe.conditional()],
    ["lifecycle", () => probe.lifecycle()],
  ]
  try {
    for (const [name, check] of checks) findings.push({ name, ...(await check().catch(asProblem)) })
  } finally {
    await probe.close().catch(() => undefined)
  }
  return findings
}

function asProblem(error: unknown): Omit<ProbeFinding, "name"> {
  return { state: "problem", detail: error instanceof Error ? error.message : String(error) }
}

async function enforced(takes: Promise<boolean>): Promise<Omit<ProbeFinding, "name">> {
  return (await takes)
    ? { state: "problem", detail: "takes other bytes than were signed for: this store can't be used" }
    : { state: "ok", detail: "other bytes than were signed for are refused" }
}

class Probe {
  readonly #calls: Calls
  readonly #key = `probe/${randomBytes(16).toString("hex")}`

  /** The store's own address is asked: that of the clients may not be reachable from here. */
  constructor(place: S3Place, timeouts: Partial<S3Timeouts>) {
    this.#calls = new Calls({ ...place, publicEndpoint: place.endpoint }, timeouts)
  }

  async close(): Promise<void> {
    try {
      for (const more of ["", "-copy", "-source"]) await remove(this.#calls, this.#key + more)
      for await (const each of listMultiparts(this.#calls, this.#key)) await abortMultipart(this.#calls, each)
    } finally {
      this.#calls.close()
    }
  }

  /** The right bytes must be taken, or a refusal of the wrong ones says nothing. */
  async takesOtherBytes(): Promise<boolean> {
    const [right, wrong] = [randomBytes(100), randomBytes(100)]
    const grant = await grantPut(
      this.#calls,
      { key: this.#key, sha256: sha256(right), length: right.length, part: 1 },
      life,
    )
    for (const bytes of [wrong, empty]) if (isSuccess((await this.#send(grant, bytes)).status)) return true
    await this.#put(grant, right)
    const found = await head(this.#calls, this.#key)
    if (found?.size !== right.length) throw failed("PUT", odd("what was put is not there"))
    return false
  }

  async takesOtherParts(): Promise<boolean> {
    const [right, wrong] = [randomBytes(100), randomBytes(100)]
    const { uploadId } = await createMultipart(this.#calls, this.#key)
    const grant = await grantPut(
      this.#calls,
      { key: this.#key, sha256: sha256(right), length: right.length, part: 1, uploadId },
      life,
    )
    let taken = false
    for (const bytes of [wrong, empty]) taken ||= isSuccess((await this.#send(grant, bytes)).status)
    if (!taken) await this.#put(grant, right)
    await abortMultipart(this.#calls, { key: this.#key, uploadId, started: 0 })
    return taken
  }

  async copiesForPart(): Promise<boolean> {
    return await copiesForPart(this.#calls, this.#key)
  }

  async copies(): Promise<Omit<ProbeFinding, "name">> {
    if (await this.copiesForPart())
      return { state: "problem", detail: "a copy source that was not signed is obeyed: this store can't be used" }
    const does = (await copiesForNothing(this.#calls, this.#key))
      ? "is obeyed where no bytes"
      : "is not obeyed where bytes"
    return { state: "ok", detail: `a copy source that was not signed ${does} are signed for; no grant is of that kind` }
  }

  async headers(): Promise<Omit<ProbeFinding, "name">> {
    const kept = await keepsHeaders(this.#calls, this.#key)
    if (kept.length > 0)
      return { state: "problem", detail: `headers that were not signed are kept with a blob: ${kept.join(", ")}` }
    return { state: "ok", detail: "nothing of headers that were not signed is kept with a blob" }
  }

  async objects(): Promise<Omit<ProbeFinding, "name">> {
    const bytes = await this.#fresh()
    const listed: string[] = []
    for await (const { key } of list(this.#calls, this.#key)) listed.push(key)
    if (listed.join() !== this.#key) throw failed("list", odd("it does not list what was put"))
    const found = await head(this.#calls, this.#key)
    const copied = `${this.#key}-copy`
    await copy(this.#calls, this.#key, found?.etag ?? "", copied)
    const size = (await head(this.#calls, copied))?.size
    await remove(this.#calls, copied)
    if (size !== bytes.length || (await head(this.#calls, copied)) !== null) throw failed("copy", odd("not there"))
    return { state: "ok", detail: "put, list, head, copy and delete do as they say" }
  }

  async ranges(): Promise<Omit<ProbeFinding, "name">> {
    const bytes = await this.#fresh()
    const found = await head(this.#calls, this.#key)
    if (!found) throw failed("PUT", odd("not there"))
    const range = { start: 10, end: 19 }
    const signed = await buffer(bytesOf(this.#calls, this.#key, found, range))
    const link = new URL(await linkTo(this.#calls, this.#key, life))
    const { status, body } = await exchange(this.#calls, "GET", link, { range: "bytes=10-19" })
    const fine = status === 206 && body.equals(bytes.subarray(10, 20)) && signed.equals(body)
    if (!fine) return { state: "problem", detail: `a range of a presigned GET is answered with ${status}` }
    return { state: "ok", detail: "ranges of signed and of presigned reads are exact" }
  }

  async multipart(): Promise<Omit<ProbeFinding, "name">> {
    const multipart = await createMultipart(this.#calls, this.#key)
    const { uploadId } = multipart
    const parts = [randomBytes(partSize), randomBytes(100)]
    for (const [index, bytes] of parts.entries()) {
      const granted = { key: this.#key, sha256: sha256(bytes), length: bytes.length, part: index + 1, uploadId }
      await this.#put(await grantPut(this.#calls, granted, life), bytes)
    }
    const underWay: string[] = []
    for await (const each of listMultiparts(this.#calls, "probe/")) underWay.push(each.uploadId)
    if (!underWay.includes(uploadId)) throw failed("list multipart uploads", odd("it does not list one under way"))
    const listed = await listParts(this.#calls, multipart)
    if (listed?.map(({ size }) => size).join() !== `${partSize},100`)
      throw failed("list parts", odd("it does not list what was put"))
    await completeMultipart(this.#calls, multipart, listed)
    const found = await head(this.#calls, this.#key)
    const whole = found && (await buffer(bytesOf(this.#calls, this.#key, found)))
    if (whole?.equals(Buffer.concat(parts)) !== true) throw failed("complete", odd("it is not the parts in order"))
    return { state: "ok", detail: "parts are listed with their sizes and become one object" }
  }

  /** Told only: nothing rests on it. */
  async conditional(): Promise<Omit<ProbeFinding, "name">> {
    await this.#fresh()
    const bytes = randomBytes(10)
    const granted = {
      key: this.#key,
      sha256: sha256(bytes),
      length: bytes.length,
      part: 1,
      headers: { "if-none-match": "*" },
    }
    const { status } = await this.#send(await grantPut(this.#calls, granted, life), bytes)
    const does = status === 412 ? "is" : "is not"
    return { state: "ok", detail: `if-none-match on PUT ${does} honoured; nothing rests on it` }
  }

  async lifecycle(): Promise<Omit<ProbeFinding, "name">> {
    const ends = await endsMultiparts(this.#calls)
    if (ends === true) return { state: "ok", detail: "multipart uploads that were left behind are ended by a rule" }
    const why = ends === null ? "the bucket does not tell its rules" : "no rule ends multipart uploads left behind"
    return { state: "warning", detail: `${why}; the registry ends its own after a day, while it runs` }
  }

  async #fresh(): Promise<Buffer> {
    const bytes = randomBytes(100)
    await this.#put(
      await grantPut(this.#calls, { key: this.#key, sha256: sha256(bytes), length: bytes.length, part: 1 }, life),
      bytes,
    )
    return bytes
  }

  async #put(grant: Grant, bytes: Uint8Array): Promise<void> {
    const { status, body } = await this.#send(grant, bytes)
    if (isSuccess(status)) return
    const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(body.toString("latin1"))?.[1] ?? "no error that S3 has"
    throw new RegistryError("UNAVAILABLE", `the bucket refused a signed PUT: ${code} (${status})`)
  }

  async #send(grant: Grant, bytes: Uint8Array): Promise<HttpAnswer> {
    return await send(this.#calls, grant, bytes)
  }
}
