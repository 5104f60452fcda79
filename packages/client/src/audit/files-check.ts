/**
 * The files that signed manifests list, read from where the registry has them, each once, and hashed: that a log is sound
 * says nothing about the bytes of a model.
 */
import { createHash } from "node:crypto"
import { limits, parseBundle, parseStatement, type Resource } from "@weighlock/manifest"
import { Limiter } from "@weighlock/node"
import { codeOf } from "../errors.ts"
import { piecesOf, readPiece } from "../fetch-piece.ts"
import type { Transport } from "../transport.ts"
import type { Findings } from "./finding.ts"
import type { LoggedVersion } from "./live.ts"

/** Files that are read at once. */
const atOnce = 4

export class FilesCheck {
  readonly #transport: Transport
  readonly #findings: Findings
  readonly #onProgress: (done: number, total: number) => void
  readonly #versions: Pick<LoggedVersion, "index" | "model" | "version" | "digest">[] = []
  /** What is wrong with the bytes of a digest; `null`: nothing. */
  readonly #faults = new Map<string, string | null>()
  /** Distinct, and read to their end. */
  files = 0
  bytes = 0

  constructor(transport: Transport, findings: Findings, onProgress: (done: number, total: number) => void) {
    this.#transport = transport
    this.#findings = findings
    this.#onProgress = onProgress
  }

  expect({ index, model, version, digest }: LoggedVersion): void {
    this.#versions.push({ index, model, version, digest })
  }

  /** Throws UNAVAILABLE, and what else makes it impossible to look. */
  async finish(signal: AbortSignal | undefined): Promise<void> {
    const limiter = new Limiter(atOnce)
    for (const [at, { index, model, version, digest }] of this.#versions.entries()) {
      signal?.throwIfAborted()
      const resources = await this.#resourcesOf(`${model}@${version}`, digest, index)
      await Promise.all(
        resources.map((resource) => limiter.run(() => this.#read(resource), { ...(signal && { signal }) })),
      )
      for (const { name, digest: sha256 } of resources) {
        const fault = this.#faults.get(sha256) ?? null
        const file = fault?.startsWith(name) === true ? "" : `${name}: ` // bytes may have several names
        if (fault !== null) this.#finding(`${model}@${version}: ${file}${fault}`, index)
      }
      this.#onProgress(at + 1, this.#versions.length)
    }
  }

  /** Of the very payload that was logged. */
  async #resourcesOf(what: string, digest: string, index: number): Promise<readonly Resource[]> {
    const path = `api/v1/manifests/sha256/${digest}`
    try {
      const { body } = await this.#transport.call(path, { what, method: "GET", limit: limits.bundle })
      const { payload } = parseBundle(body).envelope
      if (createHash("sha256").update(payload).digest("hex") === digest) return parseStatement(payload).resources
      this.#finding(`${what}: the registry answers another manifest, so its files were not looked at`, index)
    } catch (error) {
      if (!isWrong(error)) throw error
      this.#finding(`${what}: its files were not looked at: ${(error as Error).message}`, index)
    }
    return []
  }

  /** Each digest once, also when several ask at the same time. */
  async #read(resource: Resource): Promise<void> {
    if (this.#faults.has(resource.digest)) return
    this.#faults.set(resource.digest, null)
    try {
      const hash = createHash("sha256")
      const origin = { link: null }
      for (const piece of piecesOf(resource)) {
        hash.update(await readPiece({ transport: this.#transport }, origin, piece))
        this.bytes += piece.length
      }
      this.files++
      const found = hash.digest("hex")
      if (found !== resource.digest)
        this.#faults.set(resource.digest, `signed sha256:${resource.digest}, the registry has sha256:${found}`)
    } catch (error) {
      if (!isWrong(error)) throw error
      this.#faults.set(resource.digest, (error as Error).message)
    }
  }

  #finding(message: string, index: number): void {
    this.#findings.add({ kind: "file", code: "DIGEST_MISMATCH", check: "file", index, message })
  }
}

/** An answer, and not the right one. */
function isWrong(error: unknown): boolean {
  return ["DIGEST_MISMATCH", "NOT_FOUND", "PROTOCOL", "STORE_REFUSED", "MANIFEST_INVALID", "UNSIGNED"].includes(
    String(codeOf(error)),
  )
}
