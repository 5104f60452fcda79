/** The thread behind `Admission`. An error that is not a refusal ends it, and with it the registry. */
import { admitPublish, formatEnvelope, ManifestError, openTrustChain, parseEnvelope } from "@weighlock/manifest"
import { parentPort, workerData } from "node:worker_threads"
import type { AdmissionOrder, AdmissionReply, Admitted } from "./admission.ts"

const trustChain = openTrustChain(workerData as Uint8Array[], { by: "file" })

parentPort?.on("message", (order: AdmissionOrder) => parentPort?.postMessage(judge(order)))

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
  const manifest = admitPublish({ envelope, trustChain, model, now: new Date(now) })
  const { digest, version, createdAt, resources } = manifest
  return { digest, model, version, createdAt, resources, envelope: formatEnvelope(envelope) }
}
