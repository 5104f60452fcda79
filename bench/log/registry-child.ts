/** The registry in a process of its own: `node registry-child.ts DATA TRUST` prints its URL. */
import { startRegistry } from "@weighlock/registry"

const [data = "", trust = ""] = process.argv.slice(2)
const registry = await startRegistry({ data, trust, logLevel: "error" })
process.once("SIGTERM", () => void registry.close())
console.log(registry.url)
