/** What a registry answers for a file of the log is never about our own arguments: no answer ends a watch, or hides a finding. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { suite, test } from "node:test"
import { audit, auditExit, monitor } from "@weighlock/client"
import { errorTable } from "@weighlock/manifest"
import { makeLog } from "../support/log-folder.ts"
import { tempFolder } from "../support/temp.ts"
import { json, startTiny } from "./tiny-registry.ts"
import { sample } from "../support/thorough.ts"

/** Asked again with pauses: these say that nobody answers, which other tests are about. */
const busy = new Set([408, 429])
/** Who may not read the log cannot audit it. */
const closed = new Set([401, 403])
const claims = Object.entries(errorTable).flatMap(([code, { http, claimable }]) =>
  claimable && http !== null && http < 500 && !busy.has(http) ? [{ status: http, code }] : [],
)
const bare = Array.from({ length: 100 }, (_, at) => ({ status: 400 + at, code: "" })).filter(
  ({ status }) => !busy.has(status),
)

suite("a refusal for a file of the log", { concurrency: 4 }, async () => {
  const made = await makeLog({ publishes: 3 })
  for (const { status, code } of sample([...claims, ...bare], 5)) {
    test(`${status} ${code}`, async (t) => {
      const peer = await startTiny(t, made)
      const home = tempFolder(t)
      const [trust, cursor] = [join(home, "trust.json"), join(home, "cursor.json")]
      writeFileSync(trust, made.chain.envelopes[0] ?? "")
      peer.over = (path) => (path.startsWith("log/tile/entries") ? { ...json({ code }), status } : null)
      const source = { kind: "registry", url: peer.url } as const
      const stop = new AbortController()
      let runs = 0
      const next = (): void => void (++runs === 2 && stop.abort())
      const watch = { source, trust, cursor, owned: ["acme/*"], deliver: () => Promise.resolve(), interval: 1 }
      await monitor({ ...watch, signal: stop.signal, onRun: next, onTrouble: next })
      assert.equal(runs, 2, "it goes on")
      if (closed.has(status)) return
      const report = await audit({ source, trust, state: join(home, "state"), live: false })
      assert.equal(auditExit(report), 14)
    })
  }
})
