/** A registry in a process of its own, to be killed: `node registry-child.ts '{"data":…,"trust":…}'` prints its URL and pid. */
import { type RegistryConfig, startRegistry } from "@weighlock/registry"

const config = JSON.parse(process.argv[2] ?? "{}") as RegistryConfig
const registry = await startRegistry({ logLevel: "fatal", ...config })
process.once("SIGTERM", () => void registry.close())
console.log(JSON.stringify({ url: registry.url, pid: process.pid }))
