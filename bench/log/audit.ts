/** A full audit of an export, as `weighlock audit FOLDER` does it, in a process of its own: seconds and the most memory it took. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"

export interface Audited {
  readonly seconds: number
  /** Bytes, of the process with all its threads. */
  readonly rss: number
}

export async function auditExport(log: string, trustFile: string, state: string, hashOnly: boolean): Promise<Audited> {
  const script = fileURLToPath(new URL("audit-child.ts", import.meta.url))
  const child = spawn(process.execPath, [script, log, trustFile, state, String(hashOnly)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let said = ""
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(child, "close")) as [number | null]
  if (code !== 0) throw new Error(`the audit ended with ${code}: ${said}`)
  return JSON.parse(said) as Audited
}
