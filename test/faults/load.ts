/** Publishes under load: versions 0.0.0, 0.0.1, … really signed, so many at a time; what is answered goes into the journal. */
import { readFileSync } from "node:fs"

import { type Peer, random, signed, type World } from "../registry/support.ts"
import type { Journal } from "./checker/journal.ts"

interface BundleAnswer {
  readonly entry: string
  readonly proof: string
}

/** The log's verifier key, as the trust root names it. */
export function vkeyOf(world: World): string {
  const { payload } = JSON.parse(readFileSync(world.trust, "utf8")) as { payload: string }
  const root = JSON.parse(Buffer.from(payload, "base64").toString()) as { log: { vkeys: readonly string[] } }
  const [vkey] = root.log.vkeys
  if (vkey === undefined) throw new Error("a trust root without a log")
  return vkey
}

/** The one blob that every version of a load has. */
export const blob: Buffer = random(10)

export interface Load {
  readonly world: World
  readonly journal?: Journal
  /** How many requests are open at once. */
  readonly inFlight: number
  readonly onAcknowledged?: () => void
}

/** Publishes `count` versions from number `first` on; answers how many were acknowledged. Rejects at the first that fails. */
export async function publishMany(peer: Peer, load: Load, first: number, count: number): Promise<number> {
  let [next, acknowledged] = [first, 0]
  const worker = async (): Promise<void> => {
    while (next < first + count) {
      const number = next++
      await publishOne(peer, load, `0.0.${number}`)
      acknowledged += 1
    }
  }
  await Promise.all(Array.from({ length: Math.min(load.inFlight, count) }, worker))
  return acknowledged
}

/** Throws unless it was acknowledged. */
export async function publishOne(peer: Peer, { world, journal }: Load, version: string): Promise<void> {
  const reply = await peer.publish(await signed(world, [blob], { version }))
  if (reply.status !== 201 && reply.status !== 200) throw new Error(`${version}: ${reply.status} ${reply.code}`)
  const { entry, proof } = reply.json as unknown as BundleAnswer
  journal?.write({ version, entry, proof })
}

/** As many publishes as the registry will answer before it dies; never rejects. */
export async function publishUntilGone(
  peer: Peer,
  load: Load,
  first: number,
): Promise<{ sent: number; acknowledged: number }> {
  let [sent, acknowledged, gone] = [0, 0, false]
  const worker = async (): Promise<void> => {
    while (!gone) {
      try {
        await publishOne(peer, load, `0.0.${first + sent++}`)
        acknowledged += 1
        load.onAcknowledged?.()
      } catch {
        gone = true
      }
    }
  }
  await Promise.all(Array.from({ length: load.inFlight }, worker))
  return { sent, acknowledged }
}
