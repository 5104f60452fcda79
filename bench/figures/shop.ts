/** A registry with one model in it, its files in a folder or in a bucket of a real Ceph RGW. */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"

import type { Bench } from "./bench-context.ts"
import { makeFiles } from "./files.ts"
import { type Front, startFront } from "./nginx.ts"
import { freePort } from "./ports.ts"
import type { Server } from "./weighlock.ts"

type Ceph = typeof import("../../test/support/rgw.ts")
type Rgw = Ceph["Rgw"]["prototype"]

export type Source = "registry" | "bucket"

export interface ShopPlan {
  readonly source: Source
  readonly files: number
  /** What nginx lets through on one connection, MiB/s; without it clients are not held back. */
  readonly limit?: number
}

export interface Blob {
  readonly name: string
  readonly size: number
  /** SHA-256, hex. */
  readonly digest: string
  /** Where curl finds it; redirects to the bucket where there is one. */
  readonly url: string
}

export interface Bucket {
  /** As clients reach it. */
  readonly endpoint: string
  /** `models/prod` */
  readonly path: string
  readonly env: Readonly<Record<string, string>>
}

export interface Shop {
  readonly plan: ShopPlan
  readonly folder: string
  /** Where clients ask. */
  readonly url: string
  readonly reference: string
  readonly blobs: readonly Blob[]
  readonly bucket: Bucket | null
  close(): Promise<void>
}

const ceph = async (): Promise<Ceph> =>
  (await import(new URL("../../test/support/rgw.ts", import.meta.url).href)) as Ceph

/** Why there is no bucket here, or false. */
export async function noBucket(): Promise<string | false> {
  return (await ceph()).noRgw()
}

/** Made, filled and served in `bench.folder`; what was started is ended when it could not be opened. */
export async function openShop(bench: Bench, plan: ShopPlan): Promise<Shop> {
  const folder = join(bench.folder, "shop")
  mkdirSync(folder)
  const cleanups: (() => Promise<void> | void)[] = [() => rmSync(folder, { recursive: true, force: true })]
  const close = async (): Promise<void> => {
    pending.done()
    for (const cleanup of cleanups.toReversed()) await cleanup()
  }
  const pending = bench.cleanUp(close)
  const started = <T extends { stop(): Promise<void> }>(server: T): T => {
    cleanups.push(() => server.stop())
    return server
  }
  try {
    const rgw = plan.source === "bucket" ? started(await (await ceph()).Rgw.start()) : null
    await rgw?.createBucket("models")
    const front =
      plan.limit === undefined || rgw === null ? null : started(await frontOf(folder, rgw.endpoint, plan.limit))
    const bucket = rgw === null ? null : describe(rgw, front)
    const server = started(await serve(bench, folder, rgw, bucket))
    // nginx stands before whatever sends the bytes: the bucket, or else the registry.
    const before =
      plan.limit === undefined || rgw !== null ? null : started(await frontOf(folder, server.url, plan.limit))
    const reference = "acme/big@1.0.0"
    makeFiles(join(folder, "model"), bench.moved, plan.files)
    const weighlock = await bench.weighlock()
    weighlock.forget()
    const publish = ["publish", join(folder, "model"), "--as", reference, "--format", "other"]
    await weighlock.run(...publish, "--registry", server.url)
    const url = before?.url ?? server.url
    return { plan, folder, url, reference, blobs: await blobsOf(server.url, url), bucket, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function frontOf(folder: string, upstream: string, limit: number): Promise<Front> {
  return await startFront(join(folder, "nginx"), { upstream, limit, port: await freePort() })
}

function describe(rgw: Rgw, front: Front | null): Bucket {
  const { accessKeyId, secretAccessKey } = rgw.account
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_REGION: "us-east-1" }
  return { endpoint: front?.url ?? rgw.endpoint, path: "models/prod", env }
}

async function serve(bench: Bench, folder: string, rgw: Rgw | null, bucket: Bucket | null): Promise<Server> {
  const weighlock = await bench.weighlock()
  const data = join(folder, "data")
  if (rgw === null || bucket === null) return await weighlock.serve(data)
  const flags = [
    "--store",
    `s3://${bucket.path}`,
    "--s3-endpoint",
    rgw.endpoint,
    "--s3-public-endpoint",
    bucket.endpoint,
  ]
  return await weighlock.serve(data, flags, bucket.env)
}

/** From the signed statement itself. */
async function blobsOf(registry: string, url: string): Promise<Blob[]> {
  const answer = await fetch(`${registry}/api/v1/models/acme/big/versions/1.0.0`)
  const { envelope } = (await answer.json()) as { envelope: { payload: string } }
  const statement = JSON.parse(Buffer.from(envelope.payload, "base64").toString()) as {
    predicate: { resources: { name: string; size: number; digest: string }[] }
  }
  return statement.predicate.resources.map(({ name, size, digest }) => ({
    name,
    size,
    digest,
    url: `${url}/api/v1/blobs/sha256/${digest}`,
  }))
}
