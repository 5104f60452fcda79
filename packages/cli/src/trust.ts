/** The trust root for work that asks nobody: only a file can say it. */
import type { TrustChain } from "@weighlock/manifest"
import type { ConnectionFlags, Context } from "./context.ts"
import { usage } from "./errors.ts"
import { warnOfExpiry } from "./expiry.ts"

/** Warns of a root that will soon expire. Throws USAGE for a pin. */
export async function openTrust({ settings, out }: Context, flags: ConnectionFlags): Promise<TrustChain> {
  const { readTrust } = await import("@weighlock/client")
  const chain = await readTrust(settings.trust(flags))
  if (chain === null) throw usage("this works offline, so a pin is not enough", "give --trust FILE")
  warnOfExpiry(out, chain.current)
  return chain
}
