/** How long a bucket may take. Apart from the SDK, which only registries with a bucket load. */
/** In ms. */
export interface S3Timeouts {
  readonly connect: number
  /** Nothing moves. */
  readonly idle: number
  /** One call with its retries; the body of an object may take this long, and what it takes at 1 MB/s. */
  readonly call: number
  /** A call after which the store has to work: complete, copy. */
  readonly work: number
}
export const defaultTimeouts: S3Timeouts = { connect: 5000, idle: 20_000, call: 60_000, work: 900_000 }
