/**
 * Commands that write a small file or two, killed at everything they do to that file, and at every sync, link and rename: a
 * file is whole or absent, and the command can be given again. The same where the file system has no hard links.
 */
import assert from "node:assert/strict"
import { type SpawnSyncReturns, spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

import { countCalls, needsStrace, syncs } from "./strace.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const naming = [...syncs, "link", "rename", "unlink"]
/** Of what is done to a file by its name, or to what was opened by that name. */
const touching = [...naming, "openat", "write", "pwrite64", "ftruncate"]
const noLinks = ["-e", "inject=link:error=EPERM"]
const all = process.env["WEIGHLOCK_FAULTS"] === "all"

interface Command {
  readonly argv: readonly string[]
  /** What it is to leave. */
  readonly files: readonly string[]
  /** What holds whenever it was stopped; then it is given again. */
  readonly check: (folder: string, run: Run) => void
}
type Run = (argv: readonly string[], under?: readonly string[]) => SpawnSyncReturns<string>

const commands: Readonly<Record<string, Command>> = {
  "key new": {
    argv: ["key", "new", "alice", "--no-passphrase"],
    files: ["home/keys/alice.pem"],
    check: (folder, run) => {
      const isThere = existsSync(join(folder, "home", "keys", "alice.pem"))
      assert.equal(run(["key", "new", "alice", "--no-passphrase"]).status, isThere ? 5 : 0)
      assert.equal(run(["key", "export", "alice"]).status, 0)
    },
  },
  init: {
    argv: ["init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase"],
    files: ["home/keys/alice.pem", "reg/log-key.pem", "reg/weighlock.toml", "reg/trust.json"],
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
        const again = run(["init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase"])
        assert.equal(again.status, 0, again.stderr)
      }
      assert.equal(run(["trust", "show", "--trust", "reg/trust.json"]).status, 0)
    },
  },
  "witness init": {
    argv: ["witness", "init", "wit", "--name", "witness.example/w1"],
    files: ["wit/witness-key.pem"],
    check: (_, run) => {
      const again = run(["witness", "init", "wit", "--name", "witness.example/w1"])
      assert.equal(again.status, 0, again.stderr)
    },
  },
}

/** What `init` keeps of its progress goes last, after the trust root: a kill may leave it. */
const isNoTemporary = (name: string): boolean => !/^\.weighlock-(?:[0-9a-f]{16}\.tmp|init\.json)$/.test(name)

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

/** Each place of a run: the call, its number, and the one file that is looked at, if any. */
function placesOf(
  { argv, files }: Command,
  more: readonly string[],
): [call: string, nth: number, file: string | null][] {
  return [null, ...files].flatMap((file) => {
    let counts: ReadonlyMap<string, number> = new Map()
    const calls = file === null ? naming : touching
    inFolder((folder, run) => {
      const out = join(folder, "strace")
      const counting = tracing(out, calls, [...more, ...only(folder, file)])
      assert.equal(run(argv, counting).status, 0)
      requireWhole(folder)
      for (const name of files) assert.ok(existsSync(join(folder, name)), `${name} is absent`)
      counts = countCalls(out, calls)
    })
    assert.ok(counts.size > 0, `nothing is done to ${file}`)
    return [...counts].flatMap(([call, count]) =>
      Array.from({ length: count }, (_, at): [string, number, string | null] => [call, at + 1, file]),
    )
  })
}

/** Links are traced as they may be made to fail. Not with --seccomp-bpf: strace 6.1 then counts no further than one. */
function tracing(out: string, calls: readonly string[], more: readonly string[]): string[] {
  const traced = [...new Set([...calls, "link"])].join(",")
  return ["strace", "-f", "-q", "-o", out, "-e", `trace=${traced}`, ...more]
}

const only = (folder: string, file: string | null): string[] => (file === null ? [] : ["-P", join(folder, file)])

for (const [name, command] of Object.entries(commands)) {
  for (const [where, more] of [
    ["", []],
    ...(all || name === "key new" ? ([[", without hard links", noLinks]] as const) : []),
  ] as const) {
    test(`${name} killed wherever it may leave half a file${where}`, { timeout: 900_000 }, (t) => {
      if (!needsStrace(t)) return
      const places = placesOf(command, more)
      let killed = 0
      for (const [call, nth, file] of places) {
        inFolder((folder, run) => {
          const fault = ["-e", `inject=${call}:signal=SIGKILL:when=${nth}`, ...more, ...only(folder, file)]
          if (run(command.argv, tracing(join(folder, "strace"), [call], fault)).status !== 0) killed += 1
          requireWhole(folder)
          command.check(folder, run)
        })
      }
      t.diagnostic(`${killed} of ${places.length} places`)
      assert.ok(killed >= 0.8 * places.length)
    })
  }
}
