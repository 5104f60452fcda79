/**
 * Debian's docker-registry (distribution) on loopback, as fast as its settings make it: files, descriptors cached in memory,
 * no access log. A manifest there is what a signed manifest is here: a name, a version, digests.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"

import { programAt } from "./bench-context.ts"
import { ask } from "./load.ts"
import { freePort } from "./ports.ts"
import { end } from "./runs.ts"

const mediaType = "application/vnd.oci.image.manifest.v1+json"
const blob = "weights\n"
const blobDigest = `sha256:${createHash("sha256").update(blob).digest("hex")}`
const repositories = 100

/** Why there is none here, or null. */
export function noDockerRegistry(): string | null {
  return programAt("docker-registry") === null ? "docker-registry is not installed: left out" : null
}

export class DockerRegistry {
  readonly url: string
  readonly #child: ChildProcess

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  /** `under`: a program that runs it, strace for one. */
  static async start(folder: string, under: readonly string[] = []): Promise<DockerRegistry> {
    mkdirSync(folder, { recursive: true })
    const port = await freePort()
    const config = join(folder, "config.json")
    writeFileSync(config, JSON.stringify(settings(join(folder, "data"), port)))
    const [command, ...argv] = [...under, "docker-registry", "serve", config]
    const child = spawn(command, argv, { stdio: "ignore" })
    const registry = new DockerRegistry(`http://127.0.0.1:${port}`, child)
    await registry.#ready()
    for (let at = 0; at < repositories; at++) await registry.#upload(repository(at))
    return registry
  }

  async #ready(): Promise<void> {
    for (let tries = 0; tries < 300; tries++) {
      const answer = await fetch(`${this.url}/v2/`).catch(() => null)
      if (answer?.ok === true) return
      await pause(100)
    }
    throw new Error("docker-registry does not answer")
  }

  /** The one blob that every manifest names: a manifest of blobs that are not there is refused. */
  async #upload(name: string): Promise<void> {
    const begun = await fetch(`${this.url}/v2/${name}/blobs/uploads/`, { method: "POST" })
    const location = new URL(begun.headers.get("location") ?? "", this.url)
    location.searchParams.set("digest", blobDigest)
    const headers = { "content-type": "application/octet-stream" }
    const done = await fetch(location, { method: "PUT", headers, body: blob })
    if (done.status !== 201) throw new Error(`docker-registry refused a blob: ${done.status} ${await done.text()}`)
  }

  put(number: number): Buffer {
    return ask(this.url, "PUT", pathOf(number), { "content-type": mediaType }, manifest(number))
  }

  /** By its tag, as ours is by its version. */
  get(number: number): Buffer {
    return ask(this.url, "GET", pathOf(number), { accept: mediaType })
  }

  getByDigest(number: number): Buffer {
    const digest = createHash("sha256").update(manifest(number)).digest("hex")
    return ask(this.url, "GET", `/v2/${repository(number)}/manifests/sha256:${digest}`, { accept: mediaType })
  }

  async stop(): Promise<void> {
    await end(this.#child)
  }
}

const repository = (number: number): string => `acme/model-${number % repositories}`
const pathOf = (number: number): string => `/v2/${repository(number)}/manifests/0.0.${number}`

/** As long as our statement of one file. */
function manifest(number: number): string {
  const descriptor = { digest: blobDigest, size: blob.length }
  return JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...descriptor },
    layers: [{ mediaType: "application/octet-stream", ...descriptor }],
    annotations: { "org.opencontainers.image.version": `0.0.${number}`, "example.padding": "x".repeat(550) },
  })
}

/** JSON is YAML, which it reads. */
function settings(data: string, port: number): object {
  return {
    version: "0.1",
    log: { level: "error", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: data, maxthreads: 200 }, cache: { blobdescriptor: "inmemory" } },
    http: { addr: `127.0.0.1:${port}` },
  }
}

/** What a manifest's PUT syncs, as strace sees it. Null without strace. */
export async function syncsOfOnePut(folder: string): Promise<{ files: number; folders: number } | null> {
  if (programAt("strace") === null) return null
  mkdirSync(folder, { recursive: true })
  const trace = join(folder, "trace")
  const calls = "trace=fsync,fdatasync,sync,syncfs"
  const registry = await DockerRegistry.start(folder, ["strace", "-D", "-f", "-qq", "-y", "-e", calls, "-o", trace])
  const before = linesOf(trace).length
  const count = 20
  for (let number = 0; number < count; number++) {
    const headers = { "content-type": mediaType }
    const answer = await fetch(`${registry.url}${pathOf(number)}`, { method: "PUT", headers, body: manifest(number) })
    if (answer.status !== 201) throw new Error(`docker-registry refused a manifest: ${answer.status}`)
  }
  await registry.stop()
  const made = linesOf(trace).slice(before)
  const folders = made.filter((line) => !/\/(data|link)>\)/.test(line)).length
  return { files: (made.length - folders) / count, folders: folders / count }
}

function linesOf(file: string): string[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => /sync\w*\(/.test(line) && !line.includes("resumed"))
}
