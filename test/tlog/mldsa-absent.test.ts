/** Where nothing can judge ML-DSA-44, its cosignatures do not count and harm nothing; once the package is there they do. */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"
import { addSignatures, cosign } from "@weighlock/tlog"
import { bodyOf, logSigner, origin, quantumWitness, signed, witness } from "./signers.ts"

const folder = fileURLToPath(new URL("..", import.meta.url))

/** Opens the note in a process without node:crypto's ML-DSA, as a browser is; `absent`: without the package as well. */
function openElsewhere(input: object, absent: boolean): unknown {
  const script = `
    import { registerHooks } from "node:module"
    process.getBuiltinModule = undefined
    if (${absent}) registerHooks({ resolve: (name, context, next) => {
      if (name.startsWith("@noble/post-quantum")) throw new Error("absent")
      return next(name, context)
    } })
    const { loadMldsa44, openWitnessed, parsePolicy } = await import("@weighlock/tlog")
    const { note, origin, vkeys, policy } = ${JSON.stringify(input)}
    const open = () => {
      const { quorum, cosignatures } = openWitnessed(note, { origin, vkeys, policy: parsePolicy(policy) })
      return { quorum, by: cosignatures.map(({ name }) => name) }
    }
    console.log(JSON.stringify([open(), await loadMldsa44(), open()]))`
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: folder,
    encoding: "utf8",
  })
  assert.notEqual(stdout, "", stderr)
  return JSON.parse(stdout)
}

test("ML-DSA-44 without node:crypto: not counted until the package was loaded, never if it is absent", async () => {
  const [log, quantum, classic] = [logSigner(), quantumWitness("q.example"), witness("c.example")]
  const policy = `witness Q ${quantum.vkey}\nwitness C ${classic.vkey}\ngroup both all Q C\nquorum both\n`
  const cosignatures = await Promise.all([quantum, classic].map((each) => cosign(bodyOf(42), each, 7)))
  const note = addSignatures(await signed(bodyOf(42), log), cosignatures)
  const input = { note, origin, vkeys: [log.vkey], policy }
  const without = { quorum: false, by: ["C"] }
  assert.deepEqual(openElsewhere(input, true), [without, false, without])
  assert.deepEqual(openElsewhere(input, false), [without, true, { quorum: true, by: ["Q", "C"] }])
})
