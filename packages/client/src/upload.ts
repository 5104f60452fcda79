/**
 * From a folder into the registry's store: ask what is missing, send exactly that, let the registry hash the whole.
 * Grants are treated as hostile: PUT only, to an address the policy allows, with headers from a short list.
 */
import { createReadStream } from "node:fs"
import {
  canonicalJson,
  encodeBase64,
  type JsonValue,
  limits,
  parseJson,
  partLength,
  partSizeFor,
  type Resource,
} from "@weighlock/manifest"
import { type Alive, forEach, Limiter, pause } from "@weighlock/node"
import { ClientError, codeOf, unavailable, Unreachable } from "./errors.ts"
import type { Session } from "./session.ts"
import { lastingRefusal } from "./store-problem.ts"

const partsAtOnce = 8
const completesAtOnce = 16
const batchesAtOnce = 2
const grantsPerCall = 256
/** Answers that somebody else was faster, in a row: 20 s of them. */
const mostRefusals = 30
const grantedHeader = /^(?:authorization|content-type|content-md5|weighlock-grant|x-amz-[a-z0-9-]+)$/

export interface LocalFile {
  readonly resource: Resource
  readonly path: string
}

interface Grant {
  readonly part: number
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
}
interface UploadState {
  readonly sha256: string
  readonly state: "present" | "proving" | "needed"
  readonly grants: readonly Grant[]
}

/** Returns when the registry says that every file is present. Throws DIGEST_MISMATCH, UNAVAILABLE … */
export async function uploadMissing(session: Session, files: readonly LocalFile[]): Promise<void> {
  const total = files.reduce((sum, { resource }) => sum + resource.size, 0)
  let done = 0
  const sent = (bytes: number): void => session.onProgress({ phase: "upload", done: (done += bytes), total })
  const byDigest = new Map(files.map((file) => [file.resource.digest, file]))
  const parts = new Limiter(partsAtOnce)
  // While the registry thinks about one batch, the next one is sent.
  await forEach(batches([...byDigest.values()]), batchesAtOnce, (batch) => uploadBatch({ session, parts, sent }, batch))
}

/** As many files as one request may name without growing large. */
function* batches(files: readonly LocalFile[]): Generator<LocalFile[]> {
  for (let at = 0; at < files.length; at += 200) yield files.slice(at, at + 200)
}

interface Sending {
  readonly session: Session
  readonly parts: Limiter
  readonly sent: (bytes: number) => void
}
interface Needed {
  readonly file: LocalFile
  readonly grants: readonly Grant[]
}

async function uploadBatch(sending: Sending, batch: readonly LocalFile[]): Promise<void> {
  let pending = batch
  // A part may have to be sent again (a restart, a lost answer), but a registry that never has enough is refused.
  let partsLeft = 4 * batch.reduce((sum, { resource }) => sum + (resource.parts?.digests.length ?? 1), 0)
  for (let [idle, refusals, movedAt] = [0, 0, performance.now()]; pending.length > 0;) {
    const states = await askFor(sending.session, pending)
    const needed = pending.flatMap((file): Needed[] => {
      const state = states.get(file.resource.digest)
      return state?.state === "needed" ? [{ file, grants: state.grants }] : []
    })
    const granted = needed.reduce((sum, { grants }) => sum + grants.length, 0)
    if (partsLeft < granted) throw new ClientError("PROTOCOL", "the registry keeps asking for what it was sent")
    const { accepted, refusal } = await sendAll(sending, needed, granted)
    partsLeft -= accepted
    const before = pending.length
    pending = pending.filter(({ resource }) => states.get(resource.digest)?.state !== "present")
    const progressed = pending.length < before || accepted > 0
    idle = progressed ? 0 : idle + 1
    if (progressed) movedAt = performance.now()
    refusals = progressed || refusal === null ? 0 : refusals + 1
    if (refusal !== null && refusals > mostRefusals) throw lastingRefusal(refusal)
    if (idle > 0 && performance.now() - movedAt > mostIdleMs(pending)) throw unfinished(pending)
    if (idle > 0) await pause(Math.min(1000, 50 * idle), sending.session.signal)
  }
}

/** Ten minutes, and the time to read all of it back from a slow bucket (10 MiB/s). */
function mostIdleMs(pending: readonly LocalFile[]): number {
  return 1000 * (600 + pending.reduce((sum, { resource }) => sum + resource.size, 0) / (10 * 2 ** 20))
}

function unfinished(pending: readonly LocalFile[]): ClientError {
  const minutes = Math.round(mostIdleMs(pending) / 60_000)
  const what = pending.length === 1 ? pending[0]?.resource.name : `${pending.length} files`
  return unavailable(`the registry has been reading back ${what} for ${minutes} minutes and does not come to an end`, {
    hint: "no version was bound; publish again later, and only what is missing is sent; its operator finds why in its log",
  })
}

/** Sends every granted part, and completes what is whole then. `accepted` parts; the last `refusal` worth asking again. */
async function sendAll(
  { session, parts, sent }: Sending,
  needed: readonly Needed[],
  granted: number,
): Promise<{ accepted: number; refusal: ClientError | null }> {
  let accepted = 0
  let refusal: ClientError | null = null
  await forEach(needed, completesAtOnce, async ({ file, grants }) => {
    try {
      await forEach(grants, partsAtOnce, (grant) =>
        parts.run(
          async () => {
            await putPart(session, file, grant)
            accepted++
            sent(partLength(file.resource, grant.part - 1))
          },
          { signal: session.signal },
        ),
      )
      if (isWhole(file, grants, granted)) await complete(session, file.resource)
    } catch (error) {
      if (!isOvertaken(error)) throw error
      refusal = error
    }
  })
  return { accepted, refusal }
}

// Somebody else uploads the same file, and was first to send a part or to have it proven (CONFLICT, NOT_FOUND); or a grant
// ran out before its turn came (FORBIDDEN). Asking again tells where the file is, and grants anew.
function isOvertaken(error: unknown): error is ClientError {
  return error instanceof ClientError && ["CONFLICT", "NOT_FOUND", "FORBIDDEN"].includes(error.code)
}

// Grants come 256 a call, in order: a file is whole once those up to its last part were sent. One without grants is whole,
// unless others had them all.
function isWhole({ resource }: LocalFile, grants: readonly Grant[], granted: number): boolean {
  const count = resource.parts?.digests.length ?? 1
  return granted === 0 || (grants.length === 0 && granted < grantsPerCall) || grants.some(({ part }) => part === count)
}

async function askFor(session: Session, files: readonly LocalFile[]): Promise<Map<string, UploadState>> {
  const body = canonicalJson({ files: files.map(({ resource }) => describe(resource)) })
  const answer = await session.transport.call("api/v1/uploads", {
    what: "the upload",
    method: "POST",
    body,
    contentType: "application/json",
    limit: limits.envelope,
  })
  const states = readStates(parseJson(answer.body, "the upload answer"))
  const byDigest = new Map(states.map((state) => [state.sha256, state]))
  // About every file, once: a file without a state would be waited for as if it were being proven.
  if (states.length !== files.length || files.some(({ resource }) => !byDigest.has(resource.digest))) throw malformed()
  return byDigest
}

function describe({ digest, size, parts }: Resource): { [key: string]: JsonValue } {
  if (parts === undefined) return { sha256: digest, size }
  return {
    sha256: digest,
    size,
    parts: { size: parts.size, digests: encodeBase64(Buffer.from(parts.digests.join(""), "hex")) },
  }
}

async function putPart(session: Session, { resource, path }: LocalFile, grant: Grant): Promise<void> {
  const index = grant.part - 1
  const count = resource.parts?.digests.length ?? 1
  if (grant.method !== "PUT" || !Number.isSafeInteger(index) || index < 0 || index >= count)
    throw new ClientError("PROTOCOL", `a grant for ${grant.method} part ${grant.part} of ${resource.name}`)
  for (const name of Object.keys(grant.headers)) {
    if (!grantedHeader.test(name))
      throw new ClientError("STORE_REFUSED", `a grant asks for the header ${JSON.stringify(name)}`)
  }
  // RFC 9110 §5.5; above all, no line breaks.
  if (!Object.values(grant.headers).every((value) => /^[\t\x20-\x7e]*$/.test(value)))
    throw new ClientError("PROTOCOL", `a grant for ${resource.name} has a header value that is none`)
  const own = publicUrlOf(session, grant)
  const url = await own.explain(() => session.transport.stores.check(grant.url))
  const start = index * partSizeFor(resource.size)
  const length = partLength(resource, index)
  const send = async (alive: Alive): Promise<void> => {
    const body = length === 0 ? [] : createReadStream(path, { start, end: start + length - 1, highWaterMark: 2 ** 20 })
    const what = `${resource.name} part ${grant.part}`
    await session.transport.put(url, what, grant.headers, watched(body, alive), length, alive)
  }
  await own.explain(() => session.transport.retrying(send))
}

interface PublicUrl {
  /** What `task` throws; where it was the address, with where that came from. */
  explain<T>(task: () => T | Promise<T>): Promise<T>
}

/** A grant of the registry itself, and not of a bucket, points to what it was told is its own address. */
function publicUrlOf({ transport }: Session, { url, headers }: Grant): PublicUrl {
  const { registry } = transport
  const origin = URL.parse(url)?.origin
  const isElsewhere = headers["weighlock-grant"] !== undefined && origin !== registry.origin
  return {
    async explain(task) {
      try {
        return await task()
      } catch (error) {
        const isAddress = error instanceof Unreachable || codeOf(error) === "STORE_REFUSED"
        if (!isElsewhere || !isAddress || !(error instanceof ClientError)) throw error
        const from = `${origin} is what the registry at ${registry.origin} gives out as its own address`
        throw new ClientError(error.code, `${error.message} (${from})`, {
          cause: error,
          hint: "whoever runs it sets --public-url to where its clients reach it; weighlock doctor checks that",
        })
      }
    },
  }
}

async function* watched(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  alive: Alive,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    alive()
    yield chunk
  }
}

async function complete(session: Session, { name, digest }: Resource): Promise<void> {
  const exchange = { what: `the upload of ${name}`, method: "POST", limit: 65_536 } as const
  await session.transport.call(`api/v1/uploads/${digest}/complete`, exchange)
}

function readStates(value: JsonValue): UploadState[] {
  const files = member(value, "files")
  if (!Array.isArray(files)) throw malformed()
  return files.map((file) => {
    const [sha256, state, grants] = [member(file, "sha256"), member(file, "state"), member(file, "grants") ?? []]
    if (typeof sha256 !== "string" || !Array.isArray(grants)) throw malformed()
    if (state !== "present" && state !== "proving" && state !== "needed") throw malformed()
    return { sha256, state, grants: grants.map(readGrant) }
  })
}

function readGrant(value: JsonValue): Grant {
  const [part, method, url, headers] = [
    member(value, "part"),
    member(value, "method"),
    member(value, "url"),
    member(value, "headers"),
  ]
  if (typeof part !== "number" || typeof method !== "string" || typeof url !== "string") throw malformed()
  if (headers === null || typeof headers !== "object" || Array.isArray(headers)) throw malformed()
  const strings = Object.entries(headers).map(([name, text]): [string, string] => {
    if (typeof text !== "string") throw malformed()
    return [name.toLowerCase(), text]
  })
  return { part, method, url, headers: Object.fromEntries(strings) }
}

function member(value: JsonValue, key: string): JsonValue | undefined {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value[key] : undefined
}

function malformed(): ClientError {
  return new ClientError("PROTOCOL", "the registry's answer about uploads is not of the documented form")
}
