/**
 * The options that name a bucket, and what they mean. What is not told comes from where S3 users keep it:
 *
 *     --s3-endpoint   AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL
 *     --s3-region     AWS_REGION, AWS_DEFAULT_REGION
 *     --s3-ca         AWS_CA_BUNDLE
 *
 * Credentials are never options: the AWS SDK finds them.
 */
import type { S3Config } from "@weighlock/registry"
import type { Command } from "commander"
import type { Context } from "./context.ts"
import { usage } from "./errors.ts"

export interface StoreFlags {
  readonly store?: string
  readonly s3Endpoint?: string
  readonly s3PublicEndpoint?: string
  readonly s3Region?: string
  readonly s3VirtualHosted?: boolean
  readonly s3Ca?: string
}

export function storeOptions(command: Command): Command {
  return command
    .option(
      "--store <s3://bucket[/prefix]>",
      "the bucket for the files of models; credentials as the AWS SDK finds them",
    )
    .option("--s3-endpoint <url>", "an S3 server that is not AWS (AWS_ENDPOINT_URL_S3)")
    .option("--s3-public-endpoint <url>", "the same server as clients reach it, if at another address")
    .option("--s3-region <region>", "its region (AWS_REGION)")
    .option("--s3-virtual-hosted", "the bucket is the first label of the endpoint's host, not of the path")
    .option("--s3-ca <file>", "authorities that its certificate may be from, PEM (AWS_CA_BUNDLE)")
}

/** `null`: no bucket. Throws USAGE for options of a bucket without one. */
export function storeConfig({ io, path }: Context, flags: StoreFlags): S3Config | null {
  const { store, s3PublicEndpoint: publicEndpoint, s3VirtualHosted: virtualHosted } = flags
  if (store === undefined) {
    if (Object.entries(flags).some(([name, value]) => name.startsWith("s3") && value !== undefined))
      throw usage("options of a bucket without a bucket", "add --store s3://bucket")
    return null
  }
  const endpoint = flags.s3Endpoint ?? io.env["AWS_ENDPOINT_URL_S3"] ?? io.env["AWS_ENDPOINT_URL"]
  const region = flags.s3Region ?? io.env["AWS_REGION"] ?? io.env["AWS_DEFAULT_REGION"]
  const ca = flags.s3Ca ?? io.env["AWS_CA_BUNDLE"]
  return {
    store,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(publicEndpoint === undefined ? {} : { publicEndpoint }),
    ...(region === undefined ? {} : { region }),
    ...(virtualHosted === undefined ? {} : { virtualHosted }),
    ...(ca === undefined ? {} : { ca: path(ca) }),
  }
}
