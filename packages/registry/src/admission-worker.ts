/** The thread behind `Admission`. An error that is not a refusal is the end of the registry. */
import { admitPublish, ManifestError, openTrustChain, parsePublish } from "@weighlock/manifest"
import { Moved, serveOrders } from "@weighlock/node/thread"
import { workerData } from "node:worker_threads"
import type { AdmissionOrder, AdmissionOrders, AdmissionReplies, AdmissionReply, PackedAdmitted } from "./admission.ts"
import { Packer, unpack } from "./packed.ts"

const trustChain = openTrustChain(workerData as Uint8Array[], { by: "file" })

serveOrders(({ orders, packed }: AdmissionOrders): Moved<AdmissionReplies> => {
  const packer = new Packer()
  const replies = orders.map((order) => decide(order, unpack(packed, order.envelope), packer))
  const bytes = packer.pack()
  return new Moved({ replies, packed: bytes }, [bytes])
})

function decide(order: AdmissionOrder, envelope: Uint8Array, packer: Packer): AdmissionReply {
  try {
    return { admitted: admit(order, envelope, packer) }
  } catch (error) {
    if (!(error instanceof ManifestError)) throw error
    const { code, message, hint } = error
    return { refused: { code, message, ...(hint === undefined ? {} : { hint }) } }
  }
}

function admit({ model, now }: AdmissionOrder, bytes: Uint8Array, packer: Packer): PackedAdmitted {
  const envelope = parsePublish(bytes, trustChain)
  const manifest = admitPublish({ envelope, trustChain, model, now: new Date(now), verifiers: "native" })
  const { registry, digest, version, createdAt, resources } = manifest
  const signatures = envelope.signatures.map(({ keyid, sig }) => ({ keyid, sig: packer.add(sig) }))
  return { registry, digest, model, version, createdAt, payload: packer.add(envelope.payload), signatures, resources }
}
