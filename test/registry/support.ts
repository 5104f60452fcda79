/** A registry of its own for each test: real trust root, real signatures, real HTTP on loopback. */
import type { ChildProcess } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"

import {
  type Draft,
  type Resource,
  type Signer,
  encodeBase64,
  formatEnvelope,
  makeFirstTrustRoot,
  makeStatement,
  partSizeFor,
  signEnvelope,
  statementPayloadType,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { formatPrivateKey, generateEd25519, signerFor } from "@weighlock/manifest/node"
import { type RegistryConfig, startRegistry } from "@weighlock/registry"
import { formatVkey } from "@weighlock/tlog"

export const origin = "models.acme.example"
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
export const silent = { level: "silent" } as const

export interface World {
  readonly folder: string
  readonly trust: string
  readonly signer: Signer
}

/** A folder with `trust.json` and `log-key.pem`, removed after the test. */
export async function makeWorld(t: TestContext, expires = new Date(Date.now() + 365 * 86_400_000)): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-registry-"))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }))
  const logKey = generateEd25519()
  const vkey = formatVkey(`${origin}/log`, signerFor(logKey).publicKey.bytes)
  const signer = signerFor(generateEd25519())
  const payload = makeFirstTrustRoot({ registry: origin, key: signer.publicKey, label: "alice", vkey, expires })
  const root = await signEnvelope({ payloadType: trustRootPayloadType, payload }, [signer])
  const trust = join(folder, "trust.json")
  await writeFile(trust, formatEnvelope(root))
  await writeFile(join(folder, "log-key.pem"), formatPrivateKey(logKey, null), { mode: 0o600 })
  return { folder, trust, signer }
}

export interface GrantAnswer {
  readonly part: number
  readonly method: string
  readonly url: string
  readonly headers: Record<string, string>
}

export interface Schema {
  readonly type?: string
  readonly properties?: Record<string, Schema>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly pattern?: string
  readonly enum?: readonly unknown[]
}

/** A list that a test reads by place: where nothing is, the test fails by itself. */
type List<T> = readonly [T, T, T, ...T[]]

/** The members of every answer of the API, as the tests read them. */
export interface Answer {
  readonly code: string | undefined
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly missing: readonly string[]
  readonly files: List<{ readonly sha256: string; readonly state: string; readonly grants: List<GrantAnswer> }>
  readonly models: readonly { readonly model: string; readonly versions: number }[]
  readonly versions: readonly { readonly version: string; readonly manifest: string }[]
  readonly next: string
  readonly state: string
  readonly sha256: string
  readonly log: { readonly origin: string; readonly size: number }
  readonly trust: { readonly version: number; readonly sha256: string }
  readonly envelope: { readonly payload: string }
  readonly openapi: string
  readonly paths: Record<
    string,
    Record<string, { responses: Record<string, { content: Record<string, { schema: Schema }> }> }>
  >
}

export interface Reply {
  readonly status: number
  /** The problem's code, when it is one. */
  readonly code: string | undefined
  readonly json: Answer
  readonly bytes: Buffer
  readonly headers: Headers
}

export interface CallOptions {
  readonly body?: Uint8Array | string | object
  readonly headers?: Record<string, string>
}

/**
 * A connection that is kept may be closed by the server in the moment the next request is written to it, the likelier the
 * busier the machine is; the product's client asks again then, and a test that counts does not.
 */
export const oneCall = { connection: "close" } as const

/** One registry and how to talk to it. */
export class Peer {
  readonly url: string
  readonly world: World
  readonly close: () => Promise<void>

  constructor(url: string, world: World, close: () => Promise<void>) {
    this.url = url
    this.world = world
    this.close = close
  }

  async call(method: string, path: string, { body, headers = {} }: CallOptions = {}): Promise<Reply> {
    const raw = typeof body === "string" || body instanceof Uint8Array
    const json = body !== undefined && !raw
    const response = await fetch(path.startsWith("http") ? path : this.url + path, {
      method,
      headers: { ...oneCall, ...((json || method === "POST") && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: raw ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
      redirect: "error",
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    const isJson = /json/.test(response.headers.get("content-type") ?? "")
    const value = (isJson && bytes.length > 0 ? JSON.parse(bytes.toString()) : {}) as Answer
    return { status: response.status, code: value.code, json: value, bytes, headers: response.headers }
  }

  /**
   * Sends these bytes as they are and answers all that comes back until the server closes, or until that is `enough`.
   * A server that does neither fails the test by its time limit.
   */
  async raw(text: string | Buffer, enough: (answer: string) => boolean = () => false): Promise<string> {
    const { hostname, port } = new URL(this.url)
    const socket = connect(Number(port), hostname)
    let answer = ""
    await new Promise<void>((resolve) => {
      socket.on("error", () => resolve())
      socket.on("close", () => resolve())
      socket.setEncoding("latin1").on("data", (chunk: string) => {
        answer += chunk
        if (enough(answer)) resolve()
      })
      socket.write(text)
    })
    socket.destroy()
    return answer
  }

  async ask(...files: Described[]): Promise<Reply> {
    return this.call("POST", "/api/v1/uploads", { body: { files: files.map(({ request }) => request) } })
  }

  /** Uploads in parts as the registry grants them, and completes. */
  async upload(bytes: Uint8Array, headers: Record<string, string> = {}): Promise<Reply> {
    const file = describe(bytes)
    const { json } = await this.call("POST", "/api/v1/uploads", { body: { files: [file.request] }, headers })
    for (const { part, method, url, headers: granted } of json.files[0].grants) {
      await this.call(method, url, { body: file.part(part), headers: granted })
    }
    return this.call("POST", `/api/v1/uploads/${file.sha256}/complete`, { headers })
  }

  publish(envelope: Uint8Array, model = "acme/mnist", headers: Record<string, string> = {}): Promise<Reply> {
    return this.call("POST", `/api/v1/models/${model}/versions`, { body: envelope, headers })
  }
}

/** Starts a registry on a world's trust root; closed after the test. */
export async function startPeer(t: TestContext, config: Partial<RegistryConfig> = {}, world?: World): Promise<Peer> {
  const home = world ?? (await makeWorld(t))
  const running = await startRegistry({
    data: join(home.folder, "data"),
    trust: home.trust,
    logger: quiet,
    ...config,
  })
  t.after(() => running.close())
  return new Peer(running.url, home, () => running.close())
}

const nothing = (): void => undefined
/** A logger that keeps its mouth shut; the registry asks for pino's type. */
export const quiet = {
  info: nothing,
  warn: nothing,
  error: nothing,
  fatal: nothing,
  debug: nothing,
} as unknown as NonNullable<RegistryConfig["logger"]>

/** Bytes as an upload request and a manifest describe them. */
export interface Described {
  readonly sha256: string
  readonly request: { sha256: string; size: number; parts?: { size: number; digests: string } }
  readonly resource: Resource
  part(number: number): Uint8Array
}

export function describe(bytes: Uint8Array, name = "weights.bin"): Described {
  const digest = sha256(bytes)
  const partSize = bytes.length > 8 * 2 ** 20 ? partSizeFor(bytes.length) : bytes.length
  const part = (number: number): Uint8Array => bytes.subarray((number - 1) * partSize, number * partSize)
  const single = { sha256: digest, size: bytes.length }
  const resource = { name, digest, size: bytes.length }
  if (partSize === bytes.length) return { sha256: digest, request: single, resource, part }
  const digests = Array.from({ length: Math.ceil(bytes.length / partSize) }, (_, i) => sha256(part(i + 1)))
  const packed = encodeBase64(Buffer.from(digests.join(""), "hex"))
  return {
    sha256: digest,
    request: { ...single, parts: { size: partSize, digests: packed } },
    resource: { ...resource, parts: { size: partSize, digests } },
    part,
  }
}

/** A signed manifest of these files. */
export async function signed(world: World, files: readonly Uint8Array[], draft: Partial<Draft> = {}): Promise<Buffer> {
  const payload = makeStatement({
    registry: origin,
    model: "acme/mnist",
    version: "1.0.0",
    createdAt: "2026-11-23T12:00:00Z",
    format: "other",
    metadata: {},
    exclude: [],
    resources: files.map((bytes, i) => describe(bytes, `file-${String(i).padStart(4, "0")}.bin`).resource),
    ...draft,
  })
  return Buffer.from(formatEnvelope(await signEnvelope({ payloadType: statementPayloadType, payload }, [world.signer])))
}

/** What a child prints first; rejects when it ends without a word. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once("data", (chunk: Buffer) => resolve(chunk.toString().trim()))
    child.once("exit", (code, signal) => reject(new Error(`ended with ${code ?? signal}`)))
  })
}

export const random = (size: number): Buffer => randomBytes(size)
