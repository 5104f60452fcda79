/** What a runtime does with a bundle before it loads anything: `verify`, with a consistency proof from what it saw before. */
import { parseBundle, parseReference, checkpointOf, verify } from "@weighlock/manifest"
import { decodeBase64, type Hash } from "@weighlock/tlog"

import type { World } from "./world.ts"

export interface Verified {
  /** ms, the first one in this process: nothing compiled yet. */
  readonly first: number
  /** ms */
  readonly p50: number
  readonly p99: number
  readonly count: number
}

export async function verifyBundles(url: string, world: World, bodies: readonly Buffer[]): Promise<Verified> {
  const [oldest] = bodies
  if (!oldest) throw new Error("no bundles to verify")
  const seen = checkpointOf(parseBundle(oldest), world.trust)
  const times: number[] = []
  for (const body of bodies.slice(1)) {
    const parsed = parseBundle(body)
    const consistency = await consistencyOf(url, seen.size, checkpointOf(parsed, world.trust).size)
    const { payload } = parsed.envelope
    const { model, version } = namesOf(payload)
    const start = performance.now()
    const bundle = parseBundle(body)
    verify({
      reference: parseReference(`${model}@${version}`),
      bundle,
      trustChain: world.trust,
      seen,
      consistency,
      maxStaleness: null,
      now: new Date(),
    })
    times.push(performance.now() - start)
  }
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN
  return { first: times[0] ?? Number.NaN, p50: at(0.5), p99: at(0.99), count: times.length }
}

function namesOf(payload: Uint8Array): { model: string; version: string } {
  type Statement = { subject: [{ annotations: { weighlock: { model: string; version: string } } }] }
  return (JSON.parse(Buffer.from(payload).toString()) as Statement).subject[0].annotations.weighlock
}

async function consistencyOf(url: string, from: number, to: number): Promise<Hash[]> {
  const [small, large] = from < to ? [from, to] : [to, from]
  const answer = await fetch(`${url}/api/v1/log/consistency?from=${small}&to=${large}`)
  const { hashes } = (await answer.json()) as { hashes: string[] }
  return hashes.map((hash) => {
    const bytes = decodeBase64(hash)
    if (!bytes) throw new Error(`not base64: ${hash}`)
    return bytes
  })
}
