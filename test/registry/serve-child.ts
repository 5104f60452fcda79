/** A registry in a process of its own, for tests that kill it: `node serve-child.ts DATA TRUST` prints its URL. */
import { startRegistry } from "@weighlock/registry"

import { quiet } from "./support.ts"

const [data = "", trust = ""] = process.argv.slice(2)
const registry = await startRegistry({ data, trust, logger: quiet })
process.once("SIGTERM", () => void registry.close())
console.log(registry.url)
