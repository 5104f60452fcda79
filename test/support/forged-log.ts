/**
 * The registry's operator himself at work: he has the log's key, and logs an envelope that his registry would refuse, in a
 * log of its own. For tests of what a client still finds out.
 */
import { createPrivateKey } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { encodeBase64, type Envelope, formatBundle, openTrustChain } from "@weighlock/manifest"
import { origin, type World } from "../registry/support.ts"
import { made, type Rule } from "./hostile.ts"
import { noteKey, TinyLog } from "./tiny-log.ts"

/** Answers every question but those for blobs with that bundle, and those about the log as it then must be. */
export function servedFromForgedLog({ trust, folder }: World, envelope: Envelope): Rule {
  const chain = openTrustChain([readFileSync(trust)], { by: "file" })
  const key = createPrivateKey(readFileSync(join(folder, "log-key.pem")))
  const log = new TinyLog(chain, noteKey(`${origin}/log`, key))
  const bundle = Buffer.from(formatBundle(log.bundle(envelope, log.publish(envelope))))
  const genesis = {
    index: 0,
    size: log.size,
    entry: encodeBase64(log.entries[0] ?? new Uint8Array(0)),
    hashes: log.inclusion(0).map(encodeBase64),
  }
  return ({ path, isBlob }) => {
    if (isBlob) return null
    return path.startsWith("/api/v1/log/proof/0") ? made(200, genesis) : made(200, bundle)
  }
}
