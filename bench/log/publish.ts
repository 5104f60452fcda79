/** Durable publishes over HTTP, each answered with its bundle and proof, so many in flight. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { formatEnvelope } from "@weighlock/manifest"

import { type Answer, Connection, request } from "./connection.ts"
import { blob, blobDigest, modelOf, signVersion, type World } from "./world.ts"

export interface Published {
  readonly perSecond: number
  /** ms */
  readonly p50: number
  readonly p99: number
  /** Some of the answers. */
  readonly bundles: readonly Buffer[]
  readonly url: string
  stop(): Promise<void>
}

export interface PublishPlan {
  readonly publishes: number
  readonly inFlight: number
  /** Published before the clock starts: code compiled, connections open. */
  readonly warmUp: number
}

export async function publishOverHttp(folder: string, world: World, plan: PublishPlan): Promise<Published> {
  const script = fileURLToPath(new URL("registry-child.ts", import.meta.url))
  const child = spawn(process.execPath, [script, join(folder, "data"), world.trustFile], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  const gone = once(child, "exit")
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  const url = line.toString().trim()
  await upload(url)
  const requests: Buffer[] = []
  for (let i = 0; i < plan.warmUp + plan.publishes; i++) {
    const body = formatEnvelope(await signVersion(world, i))
    requests.push(request(url, "POST", `/api/v1/models/${modelOf(i)}/versions`, body))
  }
  const connections = await Promise.all(Array.from({ length: plan.inFlight }, () => Connection.open(url)))
  await drive(connections, requests.splice(0, plan.warmUp))
  const start = performance.now()
  const answers = await drive(connections, requests)
  const seconds = (performance.now() - start) / 1000
  for (const connection of connections) connection.close()
  const times = answers.map(({ ms }) => ms).toSorted((a, b) => a - b)
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return {
    perSecond: answers.length / seconds,
    p50: at(0.5),
    p99: at(0.99),
    bundles: answers.filter((_, i) => i % 100 === 0).map(({ body }) => body),
    url,
    stop: async () => {
      child.kill("SIGTERM")
      await gone
    },
  }
}

async function drive(
  connections: readonly Connection[],
  requests: readonly Buffer[],
): Promise<readonly (Answer & { readonly ms: number })[]> {
  const answers: (Answer & { readonly ms: number })[] = []
  let next = 0
  const work = async (connection: Connection): Promise<void> => {
    for (let mine = requests[next++]; mine; mine = requests[next++]) {
      const start = performance.now()
      const answer = await connection.ask(mine)
      if (answer.status !== 201) throw new Error(`${answer.status}: ${answer.body.toString()}`)
      answers.push({ ...answer, ms: performance.now() - start })
    }
  }
  await Promise.all(connections.map(work))
  return answers
}

async function upload(url: string): Promise<void> {
  const headers = { "content-type": "application/json" }
  const body = JSON.stringify({ files: [{ sha256: blobDigest, size: blob.length }] })
  const asked = await fetch(`${url}/api/v1/uploads`, { method: "POST", headers, body })
  type Grants = { files: [{ grants: { method: string; url: string; headers: Record<string, string> }[] }] }
  const { files } = (await asked.json()) as Grants
  for (const { method, url: target, headers } of files[0].grants) {
    await fetch(target, { method, headers, body: Uint8Array.from(blob) })
  }
  const done = await fetch(`${url}/api/v1/uploads/${blobDigest}/complete`, { method: "POST", headers })
  if (!done.ok) throw new Error(`the upload was refused: ${done.status}`)
}
