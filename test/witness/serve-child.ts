/** A witness in a process of its own, for tests that kill it: `node serve-child.ts DATA` prints its URL. */
import { startWitness } from "@weighlock/registry"

const [data = ""] = process.argv.slice(2)
const witness = await startWitness({ data, logLevel: "silent" })
process.once("SIGTERM", () => void witness.close())
console.log(witness.url)
