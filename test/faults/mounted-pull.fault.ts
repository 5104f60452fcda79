/**
 * A pull into a mount point, killed at each of its steps: what is there is never taken for the whole, and the next pull makes it
 * so. By strace, which kills at the n-th call; one thread makes them all. Every third place, all of them in the long form.
 */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { after, before, test } from "node:test"
import { fileURLToPath } from "node:url"

import { hashFolder } from "@weighlock/manifest/node"
import { Cli } from "../support/cli.ts"
import { smallDisk } from "../support/temp.ts"
import { needsStrace } from "./strace.ts"

const isLong = process.env["WEIGHLOCK_FAULTS"] === "all"
const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const cli = new Cli({ UV_THREADPOOL_SIZE: "1", WEIGHLOCK_TRUST: "reg/trust.json" })

before(async () => {
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  const { announced } = await cli.start(
    "registry",
    "serve",
    "--data",
    "data",
    "--trust",
    "reg/trust.json",
    "--log-level",
    "silent",
  )
  cli.env["WEIGHLOCK_REGISTRY"] = announced.url
  mkdirSync(cli.path("model", "deep", "er"), { recursive: true })
  for (const name of ["a.txt", "b.txt", "deep/c.txt", "deep/er/d.txt"]) writeFileSync(cli.path("model", name), name)
  await cli.json("publish", "model", "--as", "acme/thing@1.0.0")
  await cli.json("pull", "acme/thing@1.0.0", "-o", "plain") // all of it is in the cache: what is left are the steps
})
after(() => cli.close())

/** Calls that change names, of a pull that nobody kills; killed at the n-th of one kind where `kill` says so. */
function pull(
  mounted: string,
  kill: { readonly call: string; readonly nth: number } | null,
  log: string,
): number | null {
  const inject = kill === null ? [] : ["-e", `inject=${kill.call}:signal=SIGKILL:when=${kill.nth}`]
  const traced = ["-f", "-qq", "-o", log, "-e", "trace=rename,mkdir,rmdir,link", ...inject]
  const argv = [...traced, process.execPath, main, "pull", "acme/thing@1.0.0", "-o", mounted, "--offline", "-q"]
  return spawnSync("strace", argv, { cwd: cli.folder, env: { ...process.env, ...cli.env }, stdio: "ignore" }).status
}

test(
  "killed at each step: no marker before all is there, and the next pull makes it whole",
  { timeout: 900_000 },
  async (t) => {
    if (!needsStrace(t)) return
    const log = cli.path("strace.log")
    const truth = await hashFolder(cli.path("model"))
    const first = smallDisk(t, "16m")
    if (first === null) return
    assert.equal(pull(first, null, log), 0)
    const calls = readFileSync(log, "utf8")
      .split("\n")
      .flatMap((line) => /\b(rename|mkdir|rmdir|link)\(/.exec(line)?.[1] ?? [])
    const places = Object.entries(Object.groupBy(calls, (call) => call)).flatMap(([call, all = []]) =>
      all.map((_, at) => ({ call, nth: at + 1 })),
    )
    assert.ok(places.length >= 8, `${places.length} places`)
    const tried = isLong ? places : places.filter((_, at) => at % 3 === 0)
    let halves = 0
    for (const place of tried) {
      const what = `killed at ${place.call} ${place.nth}`
      const mounted = smallDisk(t, "16m")
      if (mounted === null) return
      pull(mounted, place, log)
      const isMarked = existsSync(`${mounted}/.weighlock-complete`)
      if (isMarked) assert.deepEqual(await hashFolder(mounted), truth, what)
      else if (readdirSync(mounted).length > 0) halves++
      const { code, stderr } = await cli.run("pull", "acme/thing@1.0.0", "-o", mounted, "--offline", "-q")
      assert.equal(code, 0, `${what}: ${stderr}`)
      assert.deepEqual(await hashFolder(mounted), truth, what)
      assert.deepEqual(
        readdirSync(mounted).filter((name) => name.startsWith(".")),
        [".weighlock-complete"],
        what,
      )
    }
    t.diagnostic(`${tried.length} of ${places.length} places, ${halves} left a half-filled folder`)
    assert.ok(halves > 0)
  },
)
