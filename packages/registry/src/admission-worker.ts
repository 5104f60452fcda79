/** The thread behind `Admission`. An error that is not a refusal ends it, and with it the registry. */
import { admitPublish, ManifestError, openTrustChain, parseEnvelope } from "@weighlock/manifest"
import { parentPort, workerData } from "node:worker_threads"
import type { AdmissionOrder, AdmissionReply, Admitted } from "./admission.ts"

const trustChain = openTrustChain(workerData as Uint8Array[], { by: "file" })

parentPort?.on("message", (orders: readonly AdmissionOrder[]) => parentPort?.postMessage(orders.map(judge)))

function judge(order: AdmissionOrder): AdmissionReply {
  try {
    return { id: order.id, admitted: admit(order) }
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    const { code, message, hint } = error
    return { id: order.id, refused: { code, message, ...(hint === undefined ? {} : { hint }) } }
  }
}

function admit({ envelope: bytes, model, now }: AdmissionOrder): Admitted {
  const envelope = parseEnvelope(bytes)
  const manifest = admitPublish({ envelope, trustChain, model, now: new Date(now), verifiers: "native" })
  const { registry, digest, version, createdAt, resources } = manifest
  const { payload, signatures } = envelope
  const blobs = [...new Set(resources.map((resource) => resource.digest))]
  return { registry, digest, model, version, createdAt, payload, signatures, envelope, resources, blobs }
}
