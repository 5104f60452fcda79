/**
 * Who signs the log's checkpoints: a key file that `weighlock init` made, or a program that keeps the key elsewhere.
 *
 *     --log-key /etc/weighlock/log-key.pem
 *     --log-key exec:/usr/local/bin/sign-with-hsm     gets the bytes to sign on stdin, answers 64 raw bytes on stdout
 *
 * Each signature is verified under the key that the trust root names before anything is done with it.
 */
import { spawn } from "node:child_process"
import { type KeyObject, createPublicKey, sign, verify } from "node:crypto"
import { isAbsolute } from "node:path"

import type { TrustRoot } from "@weighlock/manifest"
import { type NoteSigner, emptyCheckpoint, encodeUtf8, formatCheckpoint, formatVkey, parseVkey } from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { readKeyFile } from "./key-file.ts"

const execPrefix = "exec:"
/** A program that asks a person or a slow device must answer within this, in ms. */
const timeoutMs = 10_000

/** `place`: a path, or `exec:` and the absolute path of a program. Throws USAGE. */
export async function openLogSigner(place: string, { log }: TrustRoot): Promise<NoteSigner> {
  if (place.startsWith(execPrefix)) return await openProgram(place.slice(execPrefix.length), log)
  const key = await readKeyFile(place)
  const vkey = vkeyOf(log.origin, key)
  if (log.vkeys.includes(vkey)) return { vkey, sign: (message) => sign(null, message, key) }
  throw new RegistryError("USAGE", `the log key ${place} is ${vkey}, which the trust root does not name`, {
    hint: "give --log-key the key that weighlock init made together with this trust root",
  })
}

function vkeyOf(origin: string, key: KeyObject): string {
  const { x = "" } = createPublicKey(key).export({ format: "jwk" })
  return formatVkey(origin, Buffer.from(x, "base64url"))
}

/** Which of the log's keys a program holds shows in what it signs: the log before its first entry, which is no secret. */
async function openProgram(program: string, { origin, vkeys }: TrustRoot["log"]): Promise<NoteSigner> {
  if (!isAbsolute(program))
    throw new RegistryError("USAGE", `${execPrefix}${program}: give the program's absolute path`)
  const message = encodeUtf8(formatCheckpoint(emptyCheckpoint(origin)))
  const signature = await run(program, message)
  const vkey = vkeys.find((each) => verifies(each, signature, message))
  if (vkey === undefined) {
    throw new RegistryError("USAGE", `${execPrefix}${program} does not sign with a key that the trust root names`, {
      hint: "it gets the bytes to sign on stdin and answers the 64 bytes of an Ed25519 signature on stdout",
    })
  }
  return { vkey, sign: (message) => run(program, message) }
}

function verifies(vkey: string, signature: Uint8Array, message: Uint8Array): boolean {
  const { publicKey = new Uint8Array(0) } = parseVkey(vkey) ?? {}
  if (publicKey.length !== 32 || signature.length !== 64) return false
  const x = Buffer.from(publicKey).toString("base64url")
  return verify(null, message, createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" }), signature)
}

async function run(program: string, message: Uint8Array): Promise<Uint8Array> {
  return await new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown): void =>
      reject(new RegistryError("USAGE", `${execPrefix}${program} ${why}`, { cause }))
    const child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"], timeout: timeoutMs, killSignal: "SIGKILL" })
    const chunks: Buffer[] = []
    child.stdout.on("data", (chunk: Buffer) => chunks.length < 16 && chunks.push(chunk))
    child.stdin.on("error", () => undefined) // it may not care to read all of it
    child.on("error", (cause) => failed("can't be run", cause))
    child.on("close", (code, signal) => {
      if (code !== 0) return failed(`ended with ${code ?? signal ?? "nothing"}`)
      const signature = Buffer.concat(chunks)
      return signature.length === 64 ? resolve(signature) : failed(`answered ${signature.length} bytes, not 64`)
    })
    child.stdin.end(message)
  })
}
