/** A trust root's last days, said while there is time: from 30 days before. */
import { formatTime, type TrustRoot } from "@weighlock/manifest"
import type { Output } from "./output.ts"

const day = 86_400_000
const warnFrom = 30 * day

export function warnOfExpiry(out: Output, current: TrustRoot): void {
  const left = current.expires.getTime() - Date.now()
  if (left > warnFrom) return
  if (left <= 0) out.warn(`the trust root of ${current.registry} expired at ${formatTime(current.expires)}`)
  else
    out.warn(
      `the trust root of ${current.registry} expires in ${Math.floor(left / day)} days, at ${formatTime(current.expires)}`,
    )
}
