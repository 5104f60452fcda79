/** Appends without HTTP and admission: facts, rules, tree, signed checkpoint, one durable commit a batch. */
import { join } from "node:path"

import { type Envelope, sha256Hex } from "@weighlock/manifest"
import { type Candidate, openLog, SqliteLedger } from "@weighlock/registry"

import { blob, blobDigest, modelOf, registry, signVersion, type World } from "./world.ts"

export async function appendInCore(folder: string, world: World, appends: number, batch: number): Promise<number> {
  const ledger = new SqliteLedger(join(folder, "core.sqlite"))
  await ledger.recordBlobs([{ sha256: blobDigest, size: blob.length }])
  const candidates: Candidate[] = []
  for (let i = 0; i < appends; i++) candidates.push(candidateOf(await signVersion(world, i), i))
  const opened = await openLog({
    ledger,
    trustChain: world.trust,
    signer: world.log,
    copy: join(folder, "core-checkpoint"),
    mode: "degrade",
    now: Date.now,
  })
  const start = performance.now()
  let next = 0
  const append = async (): Promise<void> => {
    for (let at = next; at < appends; at = next) {
      next += batch
      const outcomes = await opened.log.append(candidates.slice(at, at + batch))
      const other = outcomes.find(({ kind }) => kind !== "appended")
      if (other) throw new Error(`not appended: ${JSON.stringify(other)}`)
    }
  }
  await Promise.all([append(), append()]) // as the sequencer does: one is committed while the next is planned
  const seconds = (performance.now() - start) / 1000
  await opened.close()
  await ledger.close()
  return appends / seconds
}

function candidateOf({ payload, signatures }: Envelope, number: number): Candidate {
  return {
    registry,
    model: modelOf(number),
    version: `0.0.${number}`,
    createdAt: "2026-11-23T12:00:00Z",
    digest: sha256Hex(payload),
    payload,
    signatures,
    blobs: [blobDigest],
  }
}
