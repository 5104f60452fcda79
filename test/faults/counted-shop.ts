/**
 * A registry process, a counting proxy before whatever sends and takes the files (the registry itself, or its bucket in a
 * Ceph RGW), a model of some size, and the command line as processes that can be killed.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { createReadStream, mkdirSync, openSync, closeSync, writeSync } from "node:fs"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { fileURLToPath } from "node:url"

import { Cli } from "../support/cli.ts"
import { noRgw, Rgw } from "../support/rgw.ts"
import { type CountingProxy, startCountingProxy } from "./counting-proxy.ts"

const main = fileURLToPath(import.meta.resolve("@weighlock/cli")).replace(/index\.ts$/, "main.ts")
const registryScript = fileURLToPath(new URL("registry-child.ts", import.meta.url))
export const mib: number = 2 ** 20
export const reference = "acme/large@1.0.0"

export interface Ended {
  readonly code: number | string
  readonly stdout: string
  readonly stderr: string
}
export interface Command {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}
/** Where a registry has its files. */
export type Place = "folder" | "bucket"
/** Why there is none here, or false. */
export const missing = (place: Place): string | false => place === "bucket" && noRgw()

export interface CountedShop {
  readonly cli: Cli
  /** What passes between clients and the files. */
  readonly proxy: CountingProxy
  /** Of the registry, as clients ask it. */
  readonly url: string
  readonly registryPid: number
  /** `weighlock …` as a client of this registry. `env` is added to the environment. */
  start(argv: readonly string[], env?: Record<string, string>): Command
}

export async function openCountedShop(t: TestContext, place: Place = "folder"): Promise<CountedShop> {
  const cli = new Cli()
  t.after(() => cli.close())
  await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
  const proxy = await startCountingProxy(t)
  const trust = cli.path("reg", "trust.json")
  const rgw = place === "bucket" ? await startRgw(t) : null
  const where =
    rgw === null
      ? { publicUrl: proxy.url }
      : { store: { store: "s3://models/prod", endpoint: rgw.endpoint, publicEndpoint: proxy.url } }
  const registry = spawn(
    process.execPath,
    [registryScript, JSON.stringify({ data: cli.path("data"), trust, ...where })],
    { stdio: ["ignore", "pipe", "inherit"] },
  )
  t.after(() => registry.kill("SIGKILL"))
  const [line] = (await once(registry.stdout, "data")) as [Buffer]
  const { url: own, pid } = JSON.parse(line.toString()) as { url: string; pid: number }
  proxy.target = new URL(rgw?.endpoint ?? own)
  const url = rgw === null ? proxy.url : own
  return {
    cli,
    proxy,
    url,
    registryPid: pid,
    start: (argv, env = {}) => {
      const words = [main, ...argv, "--trust", trust, "--registry", url, "--json"]
      const child = spawn(process.execPath, words, {
        cwd: cli.folder,
        env: { ...process.env, ...cli.env, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      })
      t.after(() => child.kill("SIGKILL"))
      return { child, ended: ended(child) }
    },
  }
}

async function startRgw(t: TestContext): Promise<Rgw> {
  const rgw = await Rgw.start()
  t.after(() => rgw.stop())
  rgw.useAccount()
  await rgw.createBucket("models")
  return rgw
}

async function ended(child: ChildProcess): Promise<Ended> {
  let [stdout, stderr] = ["", ""]
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  const [code, signal] = (await once(child, "close")) as [number | null, string | null]
  return { code: code ?? signal ?? "?", stdout, stderr }
}

/** `large` MiB in one file and `small` files of one MiB, no two MiB alike. */
export function makeModel(folder: string, large: number, small: number): void {
  mkdirSync(join(folder, "small"), { recursive: true })
  const chunk = randomBytes(mib)
  let stamp = 0
  const write = (name: string, count: number): void => {
    const file = openSync(join(folder, name), "wx")
    for (let i = 0; i < count; i++) {
      chunk.writeUInt32BE(stamp++)
      writeSync(file, chunk)
    }
    closeSync(file)
  }
  write("large.bin", large)
  for (let i = 0; i < small; i++) write(`small/${i}.bin`, 1)
}

/** Bytes of the parts of 8 MiB in `path` that are what they are in `truth`. */
export async function goodBytes(path: string, truth: readonly string[]): Promise<number> {
  const found = await partDigests(path)
  return found.filter((digest, at) => digest === truth[at]).length * 8 * mib
}

export async function partDigests(path: string): Promise<string[]> {
  const digests: string[] = []
  let [hash, size] = [createHash("sha256"), 0]
  for await (const chunk of createReadStream(path, { highWaterMark: mib })) {
    hash.update(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size % (8 * mib) !== 0) continue
    digests.push(hash.digest("hex"))
    hash = createHash("sha256")
  }
  return digests
}
