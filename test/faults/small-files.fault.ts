/**
 * Commands that write a small file or two, killed at every write, sync, link and rename: a file is whole or absent, and the
 * command can be given again. The same where the file system has no hard links.
 */
import assert from "node:assert/strict"
import { type SpawnSyncReturns, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

import { countCalls, needsStrace, syncs, underStrace } from "./strace.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
/** `write` is also what wakes threads: most of those places come before anything is written. */
const calls = [...syncs, "link", "rename", "unlink", "pwrite64", "write"]
const noLinks = ["-e", "inject=link,linkat:error=EPERM"]

interface Command {
  readonly argv: readonly string[]
  /** What holds whenever it was stopped; then it is given again. */
  readonly check: (folder: string, run: Run) => void
}
type Run = (argv: readonly string[], under?: readonly string[]) => SpawnSyncReturns<string>

const commands: Readonly<Record<string, Command>> = {
  "key new": {
    argv: ["key", "new", "alice", "--no-passphrase"],
    check: (folder, run) => {
      const isThere = existsSync(join(folder, "home", "keys", "alice.pem"))
      assert.equal(run(["key", "new", "alice", "--no-passphrase"]).status, isThere ? 5 : 0)
      assert.equal(run(["key", "export", "alice"]).status, 0)
    },
  },
  init: {
    argv: ["init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase"],
    check: (folder, run) => {
      const reg = join(folder, "reg")
      if (existsSync(join(reg, "trust.json"))) {
        assert.deepEqual(readdirSync(reg).filter(isNoTemporary).toSorted(), [
          "log-key.pem",
          "trust.json",
          "weighlock.toml",
        ])
        assert.equal(run(["key", "export", "alice"]).status, 0)
      } else {
        // As its hint says.
        for (const name of ["log-key.pem", "weighlock.toml"]) rmSync(join(reg, name), { force: true })
        assert.equal(run(["init", "reg", "--origin", "localhost", "--label", "bob", "--no-passphrase"]).status, 0)
      }
      assert.equal(run(["trust", "show", "--trust", "reg/trust.json"]).status, 0)
    },
  },
  "witness init": {
    argv: ["witness", "init", "wit", "--name", "witness.example/w1"],
    check: (_, run) => {
      const again = run(["witness", "init", "wit", "--name", "witness.example/w1"])
      assert.equal(again.status, 0, again.stderr)
    },
  },
}

const isNoTemporary = (name: string): boolean => !/^\.weighlock-[0-9a-f]{16}\.tmp$/.test(name)

/** Runs `use` in an empty folder with the CLI. */
function inFolder(use: (folder: string, run: Run) => void): void {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-small-"))
  const env = { ...process.env, HOME: folder, WEIGHLOCK_HOME: join(folder, "home"), UV_THREADPOOL_SIZE: "1" }
  const run: Run = (argv, under = []) => {
    const [command = "", ...rest] = [...under, process.execPath, main, ...argv]
    return spawnSync(command, rest, { cwd: folder, env, encoding: "utf8" })
  }
  try {
    use(folder, run)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Everything that has a name has its bytes. */
function requireWhole(folder: string): void {
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, name)
    if (!/\.(pem|json|toml)$/.test(name)) continue
    assert.ok(statSync(path).size > 0, `${name} is empty`)
    assert.match(readFileSync(path, "utf8"), /[\n}]$/, `${name} is cut short`)
  }
}

const all = process.env["WEIGHLOCK_FAULTS"] === "all"

for (const [name, { argv, check }] of Object.entries(commands)) {
  for (const [where, more] of [
    ["", []],
    ...(all || name === "key new" ? ([[", without hard links", noLinks]] as const) : []),
  ] as const) {
    test(`${name} killed at every write, sync and name${where}`, { timeout: 900_000 }, (t) => {
      if (!needsStrace(t)) return
      let counts: ReadonlyMap<string, number> = new Map()
      inFolder((folder, run) => {
        const out = join(folder, "strace")
        const counting = ["strace", "-f", "-q", "-o", out, ...more, "-e", `trace=${[...calls, "linkat"].join(",")}`]
        assert.equal(run(argv, counting).status, 0)
        requireWhole(folder)
        counts = countCalls(out, calls)
      })
      assert.ok((counts.get("fsync") ?? 0) >= 3, "the file, its folder, and the folder's")
      let killed = 0
      for (const [call, count] of counts) {
        const step = call.includes("write") && !all ? Math.ceil(count / 4) : 1
        for (let nth = 1; nth <= count; nth += step) {
          inFolder((folder, run) => {
            const ended = run(argv, [...underStrace(join(folder, "strace"), call, "signal=SIGKILL", nth), ...more])
            if (ended.status !== 0) killed += 1
            requireWhole(folder)
            check(folder, run)
          })
        }
      }
      t.diagnostic(`${killed} killed; ${[...counts].map(([call, count]) => `${call} ×${count}`).join(", ")}`)
      assert.ok(killed > 5)
    })
  }
}
