/** Other people's programs that bring the same files; what is not installed is not among them. */
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"

import { programAt } from "./bench-context.ts"
import { type Contender, timed } from "./runs.ts"
import type { Shop } from "./shop.ts"

export interface Peer extends Contender {
  /** Nothing is checked: these are who we must not be slower than. */
  readonly bare: boolean
}

/** Programs that are missing, and those that cannot read this source. */
export interface Peers {
  readonly peers: readonly Peer[]
  readonly notes: readonly string[]
}

/** Each run begins with an empty `target`. */
export function emptied(target: string): string {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  return target
}

export function peersOf(shop: Shop, target: string): Peers {
  const found = [...curls(shop, target), ...buckets(shop, target)]
  const peers = found.filter((peer): peer is Peer => typeof peer !== "string")
  return { peers, notes: found.filter((peer) => typeof peer === "string") }
}

/** One after the other over one connection. */
export function curlOnce(shop: Shop, target: string): Peer {
  return { label: "curl", bare: true, run: () => curl(shop, emptied(target)) }
}

function curls(shop: Shop, target: string): (Peer | string)[] {
  if (programAt("curl") === null) return ["curl is not installed: left out."]
  const parallel = ["--parallel", "--parallel-max", "8"]
  const verified = async (folder: string): Promise<number> => (await curl(shop, folder)) + (await openssl(shop, folder))
  const synced = async (folder: string): Promise<number> =>
    (await curl(shop, folder, parallel)) + (await openssl(shop, folder)) + (await sync(shop, folder))
  return [
    curlOnce(shop, target),
    { label: "curl --parallel", bare: true, run: () => curl(shop, emptied(target), parallel) },
    { label: "curl, then openssl", bare: false, run: () => verified(emptied(target)) },
    { label: "curl --parallel, openssl, sync", bare: false, run: () => synced(emptied(target)) },
  ]
}

async function curl({ blobs }: Shop, folder: string, flags: readonly string[] = []): Promise<number> {
  const pairs = blobs.flatMap(({ name, url }) => ["-o", join(folder, name), url])
  return (await timed("curl", ["-sSfL", ...flags, ...pairs])).seconds
}

const paths = ({ blobs }: Shop, folder: string): string[] => blobs.map(({ name }) => join(folder, name))

async function openssl(shop: Shop, folder: string): Promise<number> {
  return (await timed("openssl", ["dgst", "-sha256", ...paths(shop, folder)])).seconds
}

/** Our pull is on disk when it ends; the others are in the page cache. */
async function sync(shop: Shop, folder: string): Promise<number> {
  return (await timed("sync", paths(shop, folder))).seconds
}

function buckets({ bucket }: Shop, target: string): (Peer | string)[] {
  if (bucket === null) return ["rclone and s5cmd read buckets, not a registry."]
  const { endpoint, path } = bucket
  // rclone cannot take authorities from here, and nothing here has a certificate.
  const env = { ...process.env, ...bucket.env, AWS_CA_BUNDLE: undefined }
  const rclone = async (): Promise<number> => {
    const flags = [
      "--s3-provider",
      "Ceph",
      "--s3-env-auth",
      "--s3-endpoint",
      endpoint,
      "--transfers",
      "8",
      "--ignore-checksum",
    ]
    const argv = ["copy", `:s3:${path}/blobs`, emptied(target), "--config", "/dev/null", ...flags]
    return (await timed("rclone", argv, { env })).seconds
  }
  // As it comes: 256 workers, and each file in pieces of 50 MiB, five at a time.
  const s5cmd = async (): Promise<number> => {
    const argv = ["--endpoint-url", endpoint, "cp", `s3://${path}/blobs/*`, `${emptied(target)}/`]
    return (await timed(s5cmdProgram(), argv, { env })).seconds
  }
  const version = s5cmdVersion()
  return [
    programAt("rclone") === null
      ? "rclone is not installed: left out."
      : { label: "rclone copy", bare: true, run: rclone },
    version === null ? "s5cmd is not installed: left out." : { label: `s5cmd ${version} cp`, bare: true, run: s5cmd },
  ]
}

const s5cmdProgram = (): string => process.env["S5CMD"] ?? "s5cmd"

/** `2.3.0`, or null. */
function s5cmdVersion(): string | null {
  const { status, stdout } = spawnSync(s5cmdProgram(), ["version"], { encoding: "utf8" })
  return status === 0 ? (/^v?([0-9.]+)/.exec(stdout)?.[1] ?? null) : null
}
