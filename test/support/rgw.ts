/**
 * A real S3 server to test against: Ceph's RADOS Gateway with its own monitor and OSD, on loopback, gone afterwards.
 *
 *     const rgw = await startRgw()          // 2 to 4 s
 *     await rgw.createBucket("models")
 *     rgw.freezeDisk()                      // SIGSTOP to the OSD: every request hangs
 *
 * From Debian's `radosgw ceph-mon ceph-osd`. Where they are missing a test says so and is skipped; REQUIRE_S3=1 makes that a
 * failure.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process"
import { hash, randomUUID } from "node:crypto"
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { promisify } from "node:util"

import { signHeaders } from "@weighlock/registry/s3"

import { cephConf } from "./ceph-conf.ts"

const execute = promisify(execFile)
const programs = ["ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"]
const emptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/** Why there is no server here, or false. */
export function noRgw(): string | false {
  const missing = programs.filter((name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0)
  if (missing.length === 0) return false
  const reason = `not checked: ${missing.join(", ")} are not installed (apt-get install radosgw ceph-mon ceph-osd)`
  if (process.env["REQUIRE_S3"] === "1") throw new Error(reason)
  return reason
}

export interface Account {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export interface Session extends Account {
  readonly sessionToken: string
}

/** Path-style, as any S3 server understands it. */
export async function createBucket(endpoint: string, credentials: Account, name: string): Promise<void> {
  const url = new URL(`${endpoint}/${name}`)
  const signing = { credentials, region: "us-east-1", at: new Date() }
  const { status } = await fetch(url, { method: "PUT", headers: signHeaders("PUT", url, emptySha256, signing) })
  if (status !== 200) throw new Error(`making a bucket was answered with ${status}`)
}

export interface RgwOptions {
  /** PEM files, for HTTPS beside HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** For `assumeRole`. */
  readonly sessions?: boolean
  /** The host name of it, below which each bucket has one. */
  readonly name?: string
}

export class Rgw {
  /** `http://127.0.0.1:41873` */
  readonly endpoint: string
  readonly account: Account = { accessKeyId: "weighlocktest", secretAccessKey: "a-secret-for-tests" }
  readonly folder: string
  readonly tlsPort: number
  readonly #env: NodeJS.ProcessEnv
  readonly #daemons = new Map<string, ChildProcess>()

  private constructor(folder: string, endpoint: string, tlsPort: number) {
    this.folder = folder
    this.tlsPort = tlsPort
    this.endpoint = endpoint
    this.#env = { ...process.env, CEPH_CONF: join(folder, "ceph.conf") }
  }

  static async start({ tls, sessions, name = "localhost" }: RgwOptions = {}): Promise<Rgw> {
    const folder = mkdtempSync(join(tmpdir(), "weighlock-rgw-"))
    for (const name of ["mon", "osd", "run", "log", "rgw"]) mkdirSync(join(folder, name))
    const [monitorPort, gatewayPort] = [await freePort(), await freePort()]
    const fsid = randomUUID()
    const tlsPort = tls ? await freePort() : 0
    const plan = { folder, fsid, monitorPort, gatewayPort, name, sessions, tls: tls && { ...tls, port: tlsPort } }
    writeFileSync(join(folder, "ceph.conf"), cephConf(plan))
    const rgw = new Rgw(folder, `http://127.0.0.1:${gatewayPort}`, tlsPort)
    try {
      await rgw.#startMonitor(fsid, monitorPort)
      await rgw.#startDisk()
      await rgw.startGateway()
      await rgw.#makeAccount()
      return rgw
    } catch (error) {
      await rgw.stop()
      throw error
    }
  }

  async #startMonitor(fsid: string, port: number): Promise<void> {
    const keyring = join(this.folder, "keyring")
    const grants: [string, ...string[]][] = [
      ["mon.", "mon", "allow *"],
      ["client.admin", "mon", "allow *", "osd", "allow *", "mgr", "allow *"],
      ["client.rgw", "mon", "allow rwx", "osd", "allow rwx", "mgr", "allow rw"],
      ["osd.0", "mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd"],
    ]
    await this.#run("ceph-authtool", "--create-keyring", keyring)
    for (const [name, ...caps] of grants) {
      const pairs = caps.flatMap((cap, i) => (i % 2 === 0 ? ["--cap", cap] : [cap]))
      await this.#run("ceph-authtool", keyring, "--gen-key", "-n", name, ...pairs)
    }
    const map = join(this.folder, "monmap")
    await this.#run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", `[v2:127.0.0.1:${port}/0]`, map)
    const data = join(this.folder, "mon")
    await this.#run("ceph-mon", "--mkfs", "-i", "a", "--monmap", map, "--keyring", keyring, "--mon-data", data)
    this.#daemon("ceph-mon", "-i", "a", "--mon-data", data)
  }

  async #startDisk(): Promise<void> {
    const uuid = randomUUID()
    await this.#run("ceph", "--connect-timeout", "60", "osd", "new", uuid)
    await this.#run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", uuid)
    await this.#run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=local")
    this.#daemon("ceph-osd", "-i", "0")
  }

  async startGateway(): Promise<void> {
    this.#daemon("radosgw", "-n", "client.rgw")
    for (let tries = 0; tries < 1200; tries++) {
      const answered = await fetch(this.endpoint, { signal: AbortSignal.timeout(5000) }).catch(() => null)
      if (answered) return
      await pause(100)
    }
    throw new Error(`the gateway does not answer; its log is in ${this.folder}/log`)
  }

  async #makeAccount(): Promise<void> {
    const { accessKeyId, secretAccessKey } = this.account
    const keys = ["--access-key", accessKeyId, "--secret-key", secretAccessKey]
    await this.#run("radosgw-admin", "user", "create", "--uid=test", "--display-name=test", ...keys)
  }

  /** The SDK finds credentials in the environment of this process. */
  useAccount(): void {
    process.env["AWS_ACCESS_KEY_ID"] = this.account.accessKeyId
    process.env["AWS_SECRET_ACCESS_KEY"] = this.account.secretAccessKey
  }

  async createBucket(name: string): Promise<void> {
    await createBucket(this.endpoint, this.account, name)
  }

  /** Credentials of a session in a role that may do everything in every bucket: good for 15 minutes. */
  async assumeRole(): Promise<Session> {
    const name = `role-${randomUUID()}`
    const statement = (what: object): string => JSON.stringify({ Version: "2012-10-17", Statement: [what] })
    const who = statement({
      Effect: "Allow",
      Principal: { AWS: ["arn:aws:iam:::user/test"] },
      Action: ["sts:AssumeRole"],
    })
    const may = statement({ Effect: "Allow", Action: ["s3:*"], Resource: "arn:aws:s3:::*" })
    await this.#run("radosgw-admin", "role", "create", `--role-name=${name}`, `--assume-role-policy-doc=${who}`)
    await this.#run(
      "radosgw-admin",
      "role-policy",
      "put",
      `--role-name=${name}`,
      "--policy-name=all",
      `--policy-doc=${may}`,
    )
    const asked = { Action: "AssumeRole", RoleArn: `arn:aws:iam:::role/${name}`, RoleSessionName: "weighlock" }
    const body = new URLSearchParams({ ...asked, Version: "2011-06-15", DurationSeconds: "900" }).toString()
    const url = new URL(this.endpoint)
    const signing = { credentials: this.account, region: "us-east-1", at: new Date() }
    const extra = { "content-type": "application/x-www-form-urlencoded" }
    const headers = signHeaders("POST", url, hash("sha256", body), signing, { extra })
    const answer = await (await fetch(url, { method: "POST", headers, body })).text()
    const found = (element: string): string => {
      const [, text] = new RegExp(`<${element}>([^<]+)</${element}>`).exec(answer) ?? []
      if (text === undefined) throw new Error(`the gateway gave no session: ${answer}`)
      return text
    }
    return {
      accessKeyId: found("AccessKeyId"),
      secretAccessKey: found("SecretAccessKey"),
      sessionToken: found("SessionToken"),
    }
  }

  /** Every request hangs until `thawDisk`. */
  freezeDisk(): void {
    this.#daemons.get("ceph-osd")?.kill("SIGSTOP")
  }

  thawDisk(): void {
    this.#daemons.get("ceph-osd")?.kill("SIGCONT")
  }

  async killGateway(): Promise<void> {
    await ended(this.#daemons.get("radosgw"))
  }

  /** The account's key is taken away, or given back. */
  async revoke(): Promise<void> {
    await this.#run("radosgw-admin", "key", "rm", "--uid=test", `--access-key=${this.account.accessKeyId}`)
  }

  async restore(): Promise<void> {
    const { accessKeyId, secretAccessKey } = this.account
    const keys = ["--access-key", accessKeyId, "--secret-key", secretAccessKey]
    await this.#run("radosgw-admin", "key", "create", "--uid=test", ...keys)
  }

  async stop(): Promise<void> {
    for (const daemon of [...this.#daemons.values()].toReversed()) await ended(daemon)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20 })
  }

  async #run(program: string, ...argv: string[]): Promise<void> {
    try {
      await execute(program, argv, { env: this.#env, timeout: 120_000 })
    } catch (cause) {
      const { stderr = "", message } = cause as { stderr?: string; message: string }
      throw new Error(`${program} ${argv.join(" ")}: ${stderr.trim() || message}`, { cause })
    }
  }

  /** In the foreground, so that it is our child and ends with a signal of ours. */
  #daemon(program: string, ...argv: string[]): void {
    const log = openSync(join(this.folder, "log", `${program}.out`), "a")
    const child = spawn(program, ["-f", ...argv], { env: this.#env, stdio: ["ignore", log, log] })
    this.#daemons.set(program, child)
  }
}

async function ended(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((resolve) => child.once("exit", resolve))
  child.kill("SIGKILL")
  await exit
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
