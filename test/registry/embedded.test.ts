/** A registry inside of somebody else's program, however that was started: it publishes, and closes when it is told to. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { test } from "node:test"
import { evalWays } from "../support/eval-program.ts"
import { firstLine, makeWorld, Peer, random, signed } from "./support.ts"
import { sample } from "../support/thorough.ts"

for (const [way, flags] of sample(Object.entries(evalWays), 2)) {
  test(`${way}: a registry that is embedded publishes and closes`, async (t) => {
    const world = await makeWorld(t)
    const config = { data: join(world.folder, "data"), trust: world.trust, logLevel: "warn" }
    const program = `const { startRegistry } = await import("@weighlock/registry")
      const registry = await startRegistry(${JSON.stringify(config)})
      console.log(registry.url)
      process.stdin.once("end", () => void registry.close()).resume()`
    const child = spawn(process.execPath, flags(program), {
      cwd: import.meta.dirname,
      stdio: ["pipe", "pipe", "inherit"],
    })
    t.after(() => child.kill("SIGKILL"))
    const peer = new Peer(await firstLine(child), world, () => Promise.resolve())
    const bytes = random(10)
    assert.equal((await peer.upload(bytes)).status, 200)
    assert.equal((await peer.publish(await signed(world, [bytes]))).status, 201)
    child.stdin.end()
    assert.deepEqual(await once(child, "exit"), [0, null])
  })
}
