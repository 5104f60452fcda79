/** The trust roots, in the order they came into force. A client believes none of them without its own pin. */
import { RegistryError } from "../../errors.ts"
import type { Bundles } from "../../log/bundles.ts"
import type { Ledger, TrustRecord } from "../../store/ledger.ts"
import { sendBytes } from "../respond.ts"
import { type Route, route } from "../route.ts"
import { bundleSchema, trustParams } from "../schemas.ts"

export function trustRoutes(ledger: Ledger, bundles: Bundles): readonly Route[] {
  const answers = { 200: { description: "The bundle of the root.", schema: bundleSchema } }
  return [
    route({
      method: "get",
      path: "/api/v1/trust",
      summary: "The newest trust root.",
      scope: "read",
      answers,
      handle: async ({ response }) => sendBytes(response, await bundleOf(bundles, (await ledger.trustRoots()).at(-1))),
    }),
    route({
      method: "get",
      path: "/api/v1/trust/{version}",
      summary: "One version of the trust root.",
      scope: "read",
      params: trustParams,
      answers,
      handle: async ({ params, response }) => {
        const roots = await ledger.trustRoots()
        sendBytes(
          response,
          await bundleOf(
            bundles,
            roots.find(({ version }) => version === Number(params.version)),
          ),
        )
      },
    }),
  ]
}

async function bundleOf(bundles: Bundles, root: TrustRecord | undefined): Promise<Uint8Array> {
  if (!root) throw new RegistryError("NOT_FOUND", "no such version of the trust root")
  return await bundles.stored(root.entry, { digest: root.digest, subject: String(root.version) })
}
