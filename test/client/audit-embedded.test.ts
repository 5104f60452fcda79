/** An audit of a log so large that threads judge it, inside of somebody else's program, however that was started. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { evalWays } from "../support/eval-program.ts"
import { makeLog, writeLog } from "../support/log-folder.ts"
import { tempFolder } from "../support/temp.ts"
import { sample } from "../support/thorough.ts"

test("every entry of a log of 2,500 is judged, whatever flags the program has", async (t) => {
  const folder = tempFolder(t)
  const [path, trust] = [join(folder, "log"), join(folder, "trust.json")]
  const { log, chain } = await makeLog({ publishes: 2498, models: 100 })
  writeLog(path, log)
  writeFileSync(trust, chain.envelopes[0] ?? "")
  for (const [at, [way, flags]] of sample(Object.entries(evalWays), 2).entries()) {
    const options = { source: { kind: "folder", path }, trust, state: join(folder, `state-${at}`) }
    const program = `const { audit } = await import("@weighlock/client")
      const { findings, judged } = await audit(${JSON.stringify(options)})
      console.log(JSON.stringify([findings, judged]))`
    const { status, stdout, stderr } = spawnSync(process.execPath, flags(program), {
      cwd: import.meta.dirname,
      encoding: "utf8",
    })
    assert.deepEqual([status, stdout], [0, "[[],2500]\n"], `${way}: ${stderr}`)
  }
})
