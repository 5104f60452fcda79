/** Witnesses for tests: started in this process or killed in their own, and asked over HTTP. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { addLog, initWitness, type RunningWitness, startWitness, type WitnessConfig } from "@weighlock/registry"
import { noteVerifier, parseNote, parseSignatureLines, splitCosignature } from "@weighlock/tlog"
import type { GrownLog } from "./grown-log.ts"

export const name = "witness.example/w1"

export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
}

export function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-witness-"))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
  return join(folder, "data")
}

/** A witness that watches these logs. */
export async function start(
  t: TestContext,
  data: string,
  logs: readonly GrownLog[] = [],
  config: Partial<WitnessConfig> = {},
): Promise<RunningWitness> {
  await initWitness({ data, name })
  for (const log of logs) await addLog({ data, vkey: log.signer.vkey, origin: log.origin })
  const witness = await startWitness({ data, logLevel: "silent", ...config })
  t.after(() => witness.close())
  return witness
}

export async function ask(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  path = "/add-checkpoint",
): Promise<Reply> {
  const response = await fetch(url + path, { method: "POST", body, redirect: "error" })
  return { status: response.status, type: response.headers.get("content-type") ?? "", body: await response.text() }
}

/** Time of the one cosignature in an answer, after it was verified for that note; -1 if it does not hold. */
export function cosignedAt(vkey: string, note: string, body: string): number {
  const [signature, ...more] = parseSignatureLines(body)
  const verifier = noteVerifier(vkey)
  if (signature === undefined || more.length > 0 || signature.id !== verifier.id) return -1
  if (!verifier.verify(parseNote(note).text, signature.bytes)) return -1
  return splitCosignature(signature.bytes)?.time ?? -1
}
