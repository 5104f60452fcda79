/**
 * A refusal as a bucket words it. Of its text only the code is taken, if it looks like one.
 *
 *     403 <Error><Code>RequestTimeTooSkewed</Code><Message>…</Message></Error>
 *     FORBIDDEN  weights.bin part 3 to https://s3.example: the store refused it (RequestTimeTooSkewed)
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 */
import { ClientError, type ClientErrorCode } from "./errors.ts"

/** What it means for whoever sends or fetches; the rest go by their status. FORBIDDEN: a fresh grant may help. */
const meanings: Readonly<Record<string, ClientErrorCode>> = {
  BadDigest: "DIGEST_MISMATCH",
  ExpiredToken: "FORBIDDEN",
  IncompleteBody: "UNAVAILABLE",
  InternalError: "UNAVAILABLE",
  NoSuchBucket: "UNAVAILABLE",
  NoSuchUpload: "NOT_FOUND",
  RequestTimeTooSkewed: "FORBIDDEN",
  RequestTimeout: "UNAVAILABLE",
  SlowDown: "UNAVAILABLE",
  XAmzContentChecksumMismatch: "DIGEST_MISMATCH",
  XAmzContentSHA256Mismatch: "DIGEST_MISMATCH",
}
const byStatus: Readonly<Record<number, ClientErrorCode>> = {
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  408: "UNAVAILABLE",
  429: "UNAVAILABLE",
}

/** `null` unless the body is an error of S3. */
export function storeProblem(status: number, body: Uint8Array, what: string): ClientError | null {
  const text = Buffer.from(body.subarray(0, 4096)).toString("latin1")
  const found = /^\s*(?:<\?xml[^>]*>\s*)?<Error\b[^>]*>[^]*?<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(text)?.[1]
  if (found === undefined) return null
  const code = meanings[found] ?? byStatus[status] ?? (status >= 500 ? "UNAVAILABLE" : "PROTOCOL")
  if (code === "DIGEST_MISMATCH")
    return new ClientError(code, `${what}: the store got other bytes than were hashed (${found})`, {
      hint: "was the file changed meanwhile? publish again",
    })
  return new ClientError(code, `${what}: the store refused it (${found})`)
}
