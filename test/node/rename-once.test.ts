/** Where there are no hard links, too, a name is given once: several real processes, some of them killed or asleep. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { test, type TestContext } from "node:test"
import { tempFolder } from "../support/temp.ts"

const names = 30
const tool = import.meta.resolve("@weighlock/node")

interface Racing {
  /** Its clock runs so fast that whoever holds a claim for so long is taken for dead. */
  readonly deadMs: number
  /** It falls asleep for up to so long before a file gets its name. */
  readonly asleepMs: number
}

/** A process that makes every file of a folder, and whose file system has no links. */
function racer(t: TestContext, folder: string, me: string, { deadMs, asleepMs }: Racing): ChildProcess {
  const program = `
    import fs from "node:fs/promises"
    import { syncBuiltinESMExports } from "node:module"
    fs.link = async () => { throw Object.assign(new Error("no links here"), { code: "EPERM" }) }
    const rename = fs.rename
    fs.rename = async (from, to) => {
      if (to.endsWith(".pem")) await new Promise((wake) => setTimeout(wake, ${asleepMs} * Math.random()))
      return await rename(from, to)
    }
    syncBuiltinESMExports()
    const clock = performance.now.bind(performance)
    performance.now = () => clock() * ${10_000 / deadMs}
    const { createFile } = await import(${JSON.stringify(tool)})
    const [folder, me] = process.argv.slice(1)
    process.stdin.once("data", async () => {
      process.stdin.pause()
      for (let at = 0; at < ${names}; at++) {
        const path = folder + "/" + at + ".pem"
        if (await createFile(path, me, { folder: "later" })) console.log(at + " " + me)
      }
    })
    console.error("ready")`
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, folder, me], { stdio: "pipe" })
  t.after(() => child.kill("SIGKILL"))
  return child
}

async function ready({ stderr }: ChildProcess): Promise<void> {
  assert.ok(stderr)
  for await (const line of createInterface(stderr)) {
    assert.equal(line, "ready")
    return
  }
}

/** What each says that it has made. */
async function race(children: readonly ChildProcess[]): Promise<string[]> {
  await Promise.all(children.map(ready))
  const made: string[] = []
  const ended = children.map(async (child) => {
    child.stderr?.resume()
    child.stdin?.end("go\n")
    if (child.stdout !== null) for await (const line of createInterface(child.stdout)) made.push(line)
    return child.exitCode ?? (await new Promise((resolve) => child.once("exit", resolve)))
  })
  assert.deepEqual(
    await Promise.all(ended),
    children.map(() => 0),
  )
  return made
}

function requireOneEach(folder: string, made: readonly string[]): void {
  const winners = Array.from({ length: names }, (_, at) => made.filter((line) => line.startsWith(`${at} `)))
  winners.forEach((lines, at) => {
    assert.equal(lines.length, 1, `${at}.pem: ${lines.join(", ") || "nobody"}`)
    assert.equal(readFileSync(join(folder, `${at}.pem`), "utf8"), lines[0]?.split(" ")[1])
  })
  assert.deepEqual(
    readdirSync(folder).filter((name) => !name.endsWith(".pem")),
    [],
  )
}

for (const [what, racing] of [
  ["nobody is taken for dead", { deadMs: 600_000, asleepMs: 0 }],
  ["those who are asleep are taken for dead", { deadMs: 20, asleepMs: 120 }],
] as const) {
  test(`of four processes one makes each file, where ${what}`, async (t) => {
    const folder = tempFolder(t)
    requireOneEach(folder, await race(["a", "b", "c", "d"].map((me) => racer(t, folder, me, racing))))
  })
}

test("what a killed process has left is in nobody's way", async (t) => {
  const folder = tempFolder(t)
  for (let at = 0; at < names; at += 10) {
    const hash = createHash("sha256").update(`${at}.pem`).digest("hex").slice(0, 16)
    const claim = join(folder, `.weighlock-${hash}.tmp`)
    mkdirSync(claim)
    if (at % 20 === 0) writeFileSync(join(claim, ".weighlock-0123456789abcdef.tmp"), "killed")
  }
  requireOneEach(folder, await race(["a", "b"].map((me) => racer(t, folder, me, { deadMs: 50, asleepMs: 0 }))))
})
