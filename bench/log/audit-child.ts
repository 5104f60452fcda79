/** `node audit-child.ts FOLDER TRUST STATE HASH-ONLY` prints seconds and the most memory; a finding is a failure. */
import { audit } from "@weighlock/client"

const [path = "", trust = "", state = "", hashOnly] = process.argv.slice(2)
const start = performance.now()
const report = await audit({ source: { kind: "folder", path }, trust, state, hashOnly: hashOnly === "true" })
const seconds = (performance.now() - start) / 1000
if (report.findings.length > 0) throw new Error(JSON.stringify(report.findings.slice(0, 3)))
console.log(JSON.stringify({ seconds, rss: process.resourceUsage().maxRSS * 1024 }))
