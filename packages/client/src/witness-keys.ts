/** Witnesses may cosign with ML-DSA-44, which not every Node can verify by itself. */
import { type TrustChain, trustedLog } from "@weighlock/manifest"
import { loadMldsa44, mldsa44CosignatureType, parseVkey } from "@weighlock/tlog"

/** Before cosignatures are judged: without it those of such a witness would not count. */
export async function loadWitnessKeys(trustChain: TrustChain): Promise<void> {
  const { witnesses } = trustedLog(trustChain).policy
  if (witnesses.some(({ vkey }) => parseVkey(vkey)?.type === mldsa44CosignatureType)) await loadMldsa44()
}
