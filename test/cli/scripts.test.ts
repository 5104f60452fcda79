/**
 * The scripts beside this file are the CLI's documentation by example: commands, what they print, how they end.
 *
 *     $ weighlock key list          a command; `…` in what is expected stands for any text on one line
 *     no keys                       stdout
 *     ! hint: …                     stderr
 *     [3]                           exit code, when it is not 0
 *     > write model/a.txt hello     a change of the folder: write, append, remove, copy, flip, chmod, link, mkdir
 *
 * `> receipt REF FILE` copies a receipt, `> unlogged FILE TO` takes the proof out of one.
 * `> registry TRUST [DATA] [FLAGS]` and `> witness DATA` start a server, `> stop registry` ends it; `$REGISTRY` and
 * `$WITNESS` are their URLs, `$LOG_KEY` and `$WITNESS_KEY` their verifier keys; after `> keys`, `$ALICE` is the id of hers.
 * `> vector PATH TO` copies from test/vectors; `> p256 FILE` makes a key as openssl does, and FILE.pub.
 * `> show FILE` is followed by what is in it.
 */
import assert from "node:assert/strict"
import { generateKeyPairSync } from "node:crypto"
import {
  appendFileSync,
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { suite, test } from "node:test"
import { setTimeout as pause } from "node:timers/promises"
import { Cli } from "../support/cli.ts"
import { onlyThorough } from "../support/thorough.ts"

const folder = join(import.meta.dirname, "scripts")

interface Step {
  readonly line: number
  readonly command: string
  readonly expected: string
}

function parse(script: string): Step[] {
  const steps: { line: number; command: string; expected: string }[] = []
  for (const [at, text] of script.split("\n").entries()) {
    if (text.startsWith("$ ") || text.startsWith("> ")) steps.push({ line: at + 1, command: text, expected: "" })
    else if (!text.startsWith("#") && text !== "") steps.at(-1)!.expected += `${text}\n`
  }
  return steps
}

function transcript({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }): string {
  const errors = stderr
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => `! ${line}\n`)
  return `${stdout}${errors.join("")}${code === 0 ? "" : `[${code}]\n`}`
}

function matches(found: string, expected: string): boolean {
  const pattern = expected
    .split("…")
    .map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[^\n]*")
  return new RegExp(`^${pattern}$`).test(found)
}

async function change(cli: Cli, [verb = "", name = "", ...rest]: readonly string[]): Promise<void> {
  const path = name.includes("*") ? cli.path(globSync(name, { cwd: cli.folder })[0] ?? name) : cli.path(name)
  if (verb === "registry" || verb === "witness") {
    await (verb === "registry" ? startRegistry(cli, name, rest) : startWitness(cli, name))
    return
  }
  if (verb === "pause") {
    await pause(Number(name))
    return
  }
  if (verb === "stop") {
    await cli.stop(name)
    return
  }
  if (verb === "receipt") {
    writeFileSync(cli.path(rest[0] ?? ""), receiptOf(cli, name))
    return
  }
  if (verb === "unlogged") {
    const { entry: _, proof: __, ...bare } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>
    writeFileSync(cli.path(rest[0] ?? ""), JSON.stringify(bare))
    return
  }
  if (verb === "policy") {
    const { WITNESS, WITNESS_KEY } = cli.env
    writeFileSync(path, `witness w1 ${WITNESS_KEY} ${WITNESS}\nquorum w1\n`)
    return
  }
  if (verb === "keys") {
    await nameKeys(cli)
    return
  }
  if (verb === "handwritten") {
    writeFileSync(path, await handwritten(cli, rest))
    return
  }
  if (verb === "dying" || verb === "expired") {
    await expiring(cli, name, verb === "dying" ? 7 : -1, verb)
    return
  }
  if (verb === "vector") {
    cpSync(join(import.meta.dirname, "..", "vectors", name), cli.path(rest[0] ?? ""), { recursive: true })
    return
  }
  if (verb === "p256") {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
    writeFileSync(path, privateKey.export({ type: "sec1", format: "pem" }), { mode: 0o600 })
    writeFileSync(`${path}.pub`, publicKey.export({ type: "spki", format: "pem" }))
    return
  }
  if (verb === "env") {
    cli.env[name] = rest.join(" ")
    return
  }
  mkdirSync(dirname(path), { recursive: true })
  if (verb === "write") writeFileSync(path, `${rest.join(" ")}\n`)
  else if (verb === "append") appendFileSync(path, `${rest.join(" ")}\n`)
  else if (verb === "program") writeFileSync(path, `#!/bin/sh\n${rest.join(" ")}\n`, { mode: 0o755 })
  else if (verb === "remove") rmSync(path, { recursive: true })
  else if (verb === "chmod") chmodSync(path, Number.parseInt(rest[0] ?? "", 8))
  else if (verb === "link") symlinkSync(rest[0] ?? "", path)
  else if (verb === "copy") cpSync(path, cli.path(rest[0] ?? ""), { recursive: true })
  else if (verb === "flip") flip(path, Number(rest[0]))
  else if (verb === "mkdir") mkdirSync(path, { recursive: true })
  else throw new Error(`no such change: ${verb}`)
}

async function startRegistry(cli: Cli, trust: string, rest: readonly string[]): Promise<void> {
  const [data = "data", ...flags] = rest[0]?.startsWith("--") === true ? ["data", ...rest] : rest
  const where = ["--data", data, "--trust", join(trust, "trust.json"), "--log-level", "silent"]
  const { announced } = await cli.start("registry", "serve", ...where, ...flags)
  cli.env["REGISTRY"] = cli.env["WEIGHLOCK_REGISTRY"] = announced.url
  const info = (await (await fetch(`${announced.url}/api/v1/info`)).json()) as { log: { vkeys: string[] } }
  cli.env["LOG_KEY"] = info.log.vkeys[0] ?? ""
}

async function startWitness(cli: Cli, data: string): Promise<void> {
  // Again where it was: that is where a policy says it is.
  const port = URL.parse(cli.env["WITNESS"] ?? "")?.port ?? "0"
  const { announced } = await cli.start("witness", "serve", "--data", data, "--port", port, "--log-level", "silent")
  cli.env["WITNESS"] = announced.url
  cli.env["WITNESS_KEY"] = String(announced["vkey"])
}

/** What publish kept of that version. */
function receiptOf(cli: Cli, name: string): string {
  const texts = readdirSync(cli.path("home", "receipts")).map((file) =>
    readFileSync(cli.path("home", "receipts", file), "utf8"),
  )
  const found = texts.find((text) => {
    const { entry } = JSON.parse(text) as { entry: string }
    const { model, subject } = JSON.parse(Buffer.from(entry, "base64").toString()) as { model: string; subject: string }
    return `${model}@${subject}` === name
  })
  if (found === undefined) throw new Error(`no receipt of ${name}`)
  return found
}

/** The ids of the keys here, by their labels: `$ALICE`. */
async function nameKeys(cli: Cli): Promise<void> {
  const { keys } = (await cli.json("key", "list")) as { keys: { label: string; keyid: string }[] }
  for (const { label, keyid } of keys) cli.env[label.toUpperCase()] = keyid
}

/** Changes one bit of the byte at `at`, or so many before the end. */
function flip(path: string, at: number): void {
  const bytes = readFileSync(path)
  const place = at < 0 ? bytes.length + at : at
  bytes[place] = (bytes[place] ?? 0) ^ 1
  writeFileSync(path, bytes)
}

/** Writes `root` again with another expiry, signed with alice's key, and makes it the one to trust. */
async function expiring(cli: Cli, root: string, days: number, name: string): Promise<void> {
  const { payload } = JSON.parse(readFileSync(cli.path(root), "utf8")) as { payload: string }
  const value = JSON.parse(Buffer.from(payload, "base64").toString("utf8")) as { expires: string }
  value.expires = `${new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 19)}Z`
  writeFileSync(cli.path(`${name}.json`), JSON.stringify(value))
  await cli.json("init", name, "--origin", "localhost", "--from", `${name}.json`, "--key", "alice")
  writeFileSync(cli.path("reg", `${name}.json`), readFileSync(cli.path(name, "trust.json")))
  cli.env["WEIGHLOCK_TRUST"] = cli.path("reg", `${name}.json`)
}

/** A first trust root as someone would write it: all of `labels` must sign, for the root and for `acme/*`. */
async function handwritten(cli: Cli, labels: readonly string[]): Promise<string> {
  const { keys } = (await cli.json("key", "list")) as {
    keys: { label: string; keyid: string; type: string; public: string }[]
  }
  const chosen = keys.filter(({ label }) => labels.includes(label))
  const all = { threshold: chosen.length, keys: chosen.map(({ keyid }) => keyid) }
  const root = {
    type: "trust-root",
    schema: 1,
    registry: "localhost",
    version: 1,
    expires: "2126-01-01T00:00:00Z",
    keys: Object.fromEntries(
      chosen.map(({ keyid, type, label, public: bytes }) => [keyid, { type, public: bytes, label }]),
    ),
    roles: { root: all },
    namespaces: [{ pattern: "acme/*", publish: all, promote: all, epoch: 0 }],
  }
  return JSON.stringify(root, null, 2)
}

/** The longest, of what other tests go through as well. */
const long = new Set(["06-small-print.txt", "08-audit.txt", "09-monitor.txt", "10-witness.txt"])

// Each has a folder and a registry of its own, and much of it is waiting.
suite("the command line, as it is written down", { concurrency: 4 }, () => {
  for (const name of readdirSync(folder).toSorted()) {
    test(name, { skip: long.has(name) && onlyThorough }, async () => {
      const cli = new Cli()
      try {
        for (const { line, command, expected } of parse(readFileSync(join(folder, name), "utf8"))) {
          const words = command
            .slice(2)
            .replaceAll(/\$([A-Z_]+)/g, (_, variable: string) => cli.env[variable] ?? "")
            .split(" ")
          if (command.startsWith("> ") && words[0] !== "show") {
            await change(cli, words)
            continue
          }
          const found =
            words[0] === "weighlock"
              ? transcript(await cli.run(...words.slice(1)))
              : readFileSync(cli.path(words[1] ?? ""), "utf8")
          if (!matches(found, expected)) assert.equal(found, expected, `${name}:${line}: ${command}`)
        }
      } finally {
        await cli.close()
      }
    })
  }
})
