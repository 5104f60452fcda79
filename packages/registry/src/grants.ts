/**
 * A grant lets one part of one upload be PUT for a few minutes, without a token.
 *
 *     PUT https://models.acme.example/api/v1/uploads/9f86d081…/parts/2
 *     weighlock-grant: 1795435800.1b4f0e98….nuQW8Ml…      (expiry in seconds, upload id, HMAC-SHA-256 over both and the part)
 *
 * The upload id is a hash of (digest, size, part size, part digests), so the MAC binds the exact bytes. The key lives as long
 * as the process: after a restart clients ask again.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"

import { RegistryError } from "./errors.ts"
import { type Grant, type Upload, uploadId } from "./store/blobs.ts"

export const grantHeader = "weighlock-grant"
export const grantLifeSeconds = 600
const form = /^(\d{10})\.([0-9a-f]{64})\.([A-Za-z0-9_-]{43})$/

export class RegistryGrants {
  readonly #key = randomBytes(32)
  readonly #base: () => string
  readonly #lifeSeconds: number
  readonly #now: () => number

  /** `base`: the public URL of this registry, no slash at its end. `now`: ms since epoch. */
  constructor(base: () => string, lifeSeconds: number = grantLifeSeconds, now: () => number = Date.now) {
    this.#base = base
    this.#lifeSeconds = lifeSeconds
    this.#now = now
  }

  grant(upload: Upload, part: number): Grant {
    const expiry = String(Math.floor(this.#now() / 1000) + this.#lifeSeconds)
    const id = uploadId(upload)
    const url = `${this.#base()}/api/v1/uploads/${upload.sha256}/parts/${part}`
    const mac = this.#mac(expiry, id, upload.sha256, part).toString("base64url")
    return { part, method: "PUT", url, headers: { [grantHeader]: `${expiry}.${id}.${mac}` } }
  }

  /** Answers the upload id. FORBIDDEN: malformed, expired, or made for another digest, part or process. */
  check(header: string | undefined, sha256: string, part: number): string {
    const [, expiry = "", id = "", mac = ""] = form.exec(header ?? "") ?? []
    const expected = this.#mac(expiry, id, sha256, part)
    const given = Buffer.from(mac, "base64url")
    const genuine =
      given.length === expected.length && timingSafeEqual(given, expected) && given.toString("base64url") === mac
    if (!genuine) throw refused("this grant is not for this part")
    if (Number(expiry) * 1000 <= this.#now()) throw refused("this grant has expired")
    return id
  }

  #mac(expiry: string, id: string, sha256: string, part: number): Buffer {
    return createHmac("sha256", this.#key).update(`PUT\n${sha256}\n${part}\n${id}\n${expiry}`).digest()
  }
}

function refused(message: string): RegistryError {
  return new RegistryError("FORBIDDEN", message, { hint: "POST /api/v1/uploads again for fresh grants" })
}
