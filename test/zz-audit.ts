import { audit } from "@weighlock/client"
const folder = process.argv[2]!
let max = 0
const timer = setInterval(() => (max = Math.max(max, process.memoryUsage.rss())), 50)
const report = await audit({ source: { kind: "folder", path: folder }, trust: folder + "/trust.json", state: folder + "/state-" + Date.now(), hashOnly: process.argv[3] === "hash" })
clearInterval(timer)
console.log({ size: report.size, findings: report.findings.slice(0, 3), omitted: report.omitted, judged: report.judged, versions: report.versions, seconds: report.seconds, MB: max / 1e6, maxRSS: process.resourceUsage().maxRSS / 1024 })
