/** One S3 server for the tests of a file, and a fresh bucket for each test. */
import { after, before, type TestContext } from "node:test"

import { modelHasher } from "@weighlock/manifest/node"
import type { Grant } from "@weighlock/registry"
import { S3BlobStore, type S3Config, type S3StoreOptions, parseS3Place } from "@weighlock/registry/s3"

import type { Bench } from "../contract/blob-store.ts"
import { Rgw, type RgwOptions, noRgw } from "../support/rgw.ts"

export const skip: string | false = noRgw()

/** What a test file needs of an S3 server. */
export interface S3Server {
  readonly endpoint: string
  createBucket(name: string): Promise<void>
}

/** Started before the tests of the file, stopped after them. */
export function forThisFile(options: RgwOptions = {}): () => Rgw {
  let rgw: Rgw | undefined
  before(async () => {
    if (skip !== false) return
    rgw = await Rgw.start(options)
    rgw.useAccount()
  })
  after(() => rgw?.stop())
  return () => rgw as Rgw
}

let buckets = 0

export async function freshBucket(server: S3Server): Promise<S3Config & { endpoint: string }> {
  const name = `bucket-${process.pid}-${(buckets += 1)}`
  await server.createBucket(name)
  return { store: `s3://${name}/prod`, endpoint: server.endpoint }
}

export interface S3Bench extends Bench {
  readonly store: S3BlobStore
  readonly config: S3Config & { endpoint: string }
}

export function openOn(t: TestContext, config: S3Bench["config"], options: S3StoreOptions = {}): S3Bench {
  const hasher = modelHasher(2)
  const store = new S3BlobStore(parseS3Place(config), hasher, options)
  t.after(async () => {
    store.close()
    await hasher.close()
  })
  return { store, put: putGranted, config }
}

/** Plain HTTP, as any client does it. */
export async function putGranted({ method, url, headers }: Grant, bytes: Uint8Array): Promise<void> {
  const answer = await fetch(url, { method, headers, body: bytes as Uint8Array<ArrayBuffer>, redirect: "error" })
  const body = await answer.text()
  if (answer.status !== 200) throw new Error(`${answer.status} ${/<Code>(\w+)<\/Code>/.exec(body)?.[1] ?? ""}`)
}
