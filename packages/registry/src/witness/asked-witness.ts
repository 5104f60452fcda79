/**
 * The log's side of one witness: what it has cosigned so far, and the next request (c2sp.org/tlog-witness).
 *
 *     POST <url>/add-checkpoint   old 40 …    -> 409 "41\n"      it saw more than we knew: ask again from there
 *                                 old 41 …    -> 200 "— witness.example/w1 uKLPIA…=\n"
 *     GET <url>/<SHA-256 of the origin>/checkpoint   the newest it has cosigned, for everybody
 */
import type { HttpAnswer, HttpClient, HttpRequest } from "@weighlock/node"
import {
  type Hash,
  type NoteSignature,
  type PolicyWitness,
  decodeUtf8,
  formatAddCheckpoint,
  loadMldsa44,
  noteVerifier,
  parseNote,
  parseSignatureLines,
  parseTlogSize,
  splitCosignature,
  tlogSizeType,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { originHash } from "./kept-state.ts"

export interface Target {
  readonly size: number
  /** The log's signed checkpoint. */
  readonly note: string
}

/**
 * `unasked`: not yet, or it has no URL. `failing`: no usable answer. `refused`: it answered no. `ahead`: it has cosigned a
 * larger log than this one is: either this registry runs on an old copy of its data, or the witness is broken.
 */
export type WitnessState = "unasked" | "cosigned" | "failing" | "refused" | "ahead"

/** Why a witness did not cosign, said as a sentence's end. */
export class WitnessFault extends Error {
  readonly state: WitnessState
  constructor(state: WitnessState, message: string, options?: ErrorOptions) {
    super(message, options)
    this.state = state
  }
}

export interface Cosigned {
  readonly signature: NoteSignature
  /** POSIX seconds. */
  readonly time: number
}

interface Answer {
  readonly status: number
  /** As sent, without parameters; "" when absent. */
  readonly type: string
  readonly body: string
}

const plainText = { "content-type": "text/plain; charset=utf-8" }
/** A 409 may cross another log's request, once. */
const attempts = 3

export class AskedWitness {
  readonly witness: PolicyWitness
  readonly url: URL
  readonly #http: HttpClient
  /** The size it has cosigned last, as far as we know. */
  #size = 0

  constructor(witness: PolicyWitness, url: URL, http: HttpClient) {
    this.witness = witness
    this.url = url
    this.#http = http
  }

  /** Throws a WitnessFault, or what `consistency` throws. */
  async cosign(target: Target, consistency: (from: number, to: number) => Promise<readonly Hash[]>): Promise<Cosigned> {
    if (!noteVerifier(this.witness.vkey).able) await loadMldsa44() // an older Node
    for (let attemptsLeft = attempts; attemptsLeft > 0; attemptsLeft--) {
      const oldSize = this.#size
      if (oldSize > target.size) throw this.#isAhead(oldSize, target)
      const proof = oldSize === 0 || oldSize === target.size ? [] : await consistency(oldSize, target.size)
      const body = formatAddCheckpoint({ oldSize, proof, checkpoint: target.note })
      const answer = await this.#ask(this.url, { method: "POST", headers: plainText, body })
      if (answer.status === 200) {
        const cosigned = this.#read(answer, target)
        this.#size = target.size
        return cosigned
      }
      if (answer.status !== 409) throw refusal(answer)
      this.#size = sizeIn(answer)
    }
    throw new WitnessFault("failing", `answered 409 to ${attempts} requests in a row`)
  }

  /** The newest checkpoint of the log that it shows to everybody; `null`: it shows none. Throws a WitnessFault. */
  async shown(origin: string): Promise<string | null> {
    const { status, body } = await this.#ask(checkpointUrl(this.url, origin), { method: "GET" })
    return status === 200 ? body : null
  }

  #isAhead(size: number, target: Target): WitnessFault {
    this.#size = 0 // it is asked afresh next time: what it said may have been wrong
    return new WitnessFault("ahead", `has cosigned ${size} entries of this log, which has ${target.size}`)
  }

  async #ask(url: URL, request: HttpRequest): Promise<Answer> {
    try {
      return openAnswer(await this.#http.request(url, request))
    } catch (cause) {
      throw new WitnessFault("failing", cause instanceof Error ? cause.message : String(cause), { cause })
    }
  }

  /** Signatures of strangers are ignored; ours must be there, hold, and be dated. */
  #read(answer: Answer, { note }: Target): Cosigned {
    const verifier = noteVerifier(this.witness.vkey)
    const { text } = parseNote(note)
    for (const signature of linesOf(answer)) {
      if (signature.name !== verifier.name || signature.id !== verifier.id) continue
      const { time = 0 } = splitCosignature(signature.bytes) ?? {}
      if (time > 0 && verifier.verify(text, signature.bytes)) return { signature, time }
    }
    throw new WitnessFault("failing", "answered 200 without a valid cosignature of its own")
  }
}

function openAnswer({ status, headers, body }: HttpAnswer): Answer {
  const text = headers["content-encoding"] === undefined ? decodeUtf8(body) : null
  if (text === null) throw new Error("answered with what is no plain UTF-8")
  return { status, type: (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "", body: text }
}

function linesOf({ body }: Answer): readonly NoteSignature[] {
  try {
    return parseSignatureLines(body)
  } catch (cause) {
    throw new WitnessFault("failing", "answered 200 with what are no signature lines", { cause })
  }
}

function sizeIn({ type, body }: Answer): number {
  try {
    if (type === tlogSizeType) return parseTlogSize(body)
  } catch (cause) {
    throw new WitnessFault("failing", "answered 409 with what is no tree size", { cause })
  }
  throw new WitnessFault("failing", `answered 409 with ${type || "no content type"}, not ${tlogSizeType}`)
}

function refusal({ status, body }: Answer): WitnessFault {
  const state = status >= 400 && status < 500 && status !== 408 && status !== 429 ? "refused" : "failing"
  return new WitnessFault(state, `answered ${status}: ${JSON.stringify(body.slice(0, 200))}`)
}

/** Of a submission prefix: what the protocol appends to it. Throws USAGE. */
export function addCheckpointUrl(prefix: string): URL {
  const url = URL.canParse(prefix) ? new URL(prefix) : null
  const plain = url && url.username === "" && url.password === "" && url.search === "" && url.hash === ""
  if (plain && ["http:", "https:"].includes(url.protocol)) {
    return new URL(`${url.href.replace(/\/+$/, "")}/add-checkpoint`)
  }
  throw new RegistryError("USAGE", `${JSON.stringify(prefix)} is not a witness's URL`, {
    hint: "write it as the witness's operator gave it, such as https://witness.example",
  })
}

/** Beside where checkpoints are sent to: the monitoring prefix is the submission prefix. */
function checkpointUrl(submission: URL, origin: string): URL {
  return new URL(`${originHash(origin)}/checkpoint`, submission)
}
