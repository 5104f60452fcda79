/**
 * Where a bucket is, and the URL of an object in it.
 *
 *     { store: "s3://models/prod", endpoint: "https://s3.acme.example" }  ->  https://s3.acme.example/models/prod/blobs/…
 *     { store: "s3://models", region: "eu-west-1" }                       ->  https://models.s3.eu-west-1.amazonaws.com/blobs/…
 *
 * Keys are made of a checked prefix and of hex: no character in one needs an escape.
 */
import { RegistryError } from "../errors.ts"

export interface S3Config {
  /** `s3://bucket` or `s3://bucket/prefix`. */
  readonly store: string
  /** http(s)://host[:port] of a store that is not AWS; then path-style unless `virtualHosted`. */
  readonly endpoint?: string
  /** The same store as clients reach it, when that is another address: grants and redirects point there. */
  readonly publicEndpoint?: string
  /** Needed for AWS; `us-east-1` where an endpoint is given. */
  readonly region?: string
  /** The bucket as the first label of the host. Always so for AWS. */
  readonly virtualHosted?: boolean
  /** Path of a PEM file with the authorities that the endpoint's certificate may be from. */
  readonly ca?: string
}

/** Checked. */
export interface S3Place {
  readonly bucket: string
  /** Empty, or ends in a slash. */
  readonly prefix: string
  readonly region: string
  readonly endpoint: URL
  readonly publicEndpoint: URL
  readonly virtualHosted: boolean
  readonly ca?: Buffer
}

const bucketForm = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const segmentForm = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/
const regionForm = /^[a-z0-9-]{1,64}$/

/** Throws USAGE. `ca`: the bytes of the file that the configuration names. */
export function parseS3Place(config: S3Config, ca?: Buffer): S3Place {
  const [, bucket = "", path = ""] = /^s3:\/\/([^/]*)\/?(.*)$/.exec(config.store) ?? []
  const segments = path === "" ? [] : path.replace(/\/$/, "").split("/")
  if (!bucketForm.test(bucket)) throw usage(`${JSON.stringify(config.store)} names no bucket`, example)
  if (!segments.every((segment) => segmentForm.test(segment)) || path.length > 200)
    throw usage(
      `${JSON.stringify(config.store)} has a prefix with other than letters, digits, ".", "_" and "-"`,
      example,
    )
  const region = config.region ?? (config.endpoint === undefined ? undefined : "us-east-1")
  if (region === undefined) throw usage("the bucket's region is missing", "give --s3-region, or set AWS_REGION")
  if (!regionForm.test(region)) throw usage(`${JSON.stringify(region)} is not a region`)
  const endpoint = parseEndpoint(config.endpoint ?? awsEndpoint(region))
  // No certificate fits a bucket with dots below an endpoint.
  const virtualHosted = config.virtualHosted ?? (config.endpoint === undefined && !bucket.includes("."))
  return {
    bucket,
    prefix: segments.map((segment) => `${segment}/`).join(""),
    region,
    endpoint,
    publicEndpoint: config.publicEndpoint === undefined ? endpoint : parseEndpoint(config.publicEndpoint),
    virtualHosted,
    ...(ca && { ca }),
  }
}

const example = "write s3://bucket or s3://bucket/prefix"

function awsEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`
}

function parseEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const fine = url && ["http:", "https:"].includes(url.protocol) && [url.origin, `${url.origin}/`].includes(text)
  if (!fine) throw usage(`${JSON.stringify(text)} is not an endpoint`, "write scheme, host and port only")
  return url
}

/** As it is written down: what the data folder remembers. */
export function placeName({ bucket, prefix }: S3Place): string {
  return `s3://${bucket}/${prefix}`.replace(/\/$/, "")
}

/** The public URL of an object. `key` is below the prefix. */
export function objectUrl({ bucket, prefix, publicEndpoint, virtualHosted }: S3Place, key: string): URL {
  const { protocol, host } = publicEndpoint
  return virtualHosted
    ? new URL(`${protocol}//${bucket}.${host}/${prefix}${key}`)
    : new URL(`${protocol}//${host}/${bucket}/${prefix}${key}`)
}

function usage(message: string, hint?: string): RegistryError {
  return new RegistryError("USAGE", message, hint === undefined ? {} : { hint })
}
