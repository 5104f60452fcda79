/**
 * A refusal as a bucket words it. Of its text only the code is taken, if it looks like one.
 *
 *     403 <Error><Code>RequestTimeTooSkewed</Code><Message>…</Message></Error>
 *     FORBIDDEN    weights.bin part 3 to https://s3.example: the store refused it (RequestTimeTooSkewed)
 *     UNAVAILABLE  weights.bin part 3 from https://s3.example: the store refused the registry's link (403 RequestTimeTooSkewed)
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
const operatorHint =
  "this is for the registry's operator: its credentials, its clock or the bucket's policy; weighlock doctor --store s3://… tries them"

/** `null` unless the body is an error of S3. */
export function storeProblem(status: number, body: Uint8Array, what: string): ClientError | null {
  const found = codeIn(body)
  if (found === undefined) return null
  const code = meaningOf(status, found)
  if (code === "DIGEST_MISMATCH")
    return new ClientError(code, `${what}: the store got other bytes than were hashed (${found})`, {
      hint: "was the file changed meanwhile? publish again",
    })
  return new ClientError(code, `${what}: the store refused it (${found})`)
}

/** A store's answer to a link that the registry made. A refusal is about the registry's rights there: UNAVAILABLE. */
export function linkProblem(status: number, body: Uint8Array, what: string): ClientError {
  const found = codeIn(body)
  const said = found === undefined ? String(status) : `${status} ${found}`
  const code = meaningOf(status, found)
  if (code === "FORBIDDEN" || status === 401 || found === "NoSuchBucket")
    return new ClientError("UNAVAILABLE", `${what}: the store refused the registry's link (${said})`, {
      hint: operatorHint,
    })
  return new ClientError(code, `${what}: the store answered ${said}`)
}

/** Grants that were refused again and again, however fresh, are no more the client's affair than a refused link. */
export function lastingRefusal(refusal: ClientError): ClientError {
  if (refusal.code !== "FORBIDDEN") return refusal
  return new ClientError("UNAVAILABLE", refusal.message, { cause: refusal, hint: operatorHint })
}

function codeIn(body: Uint8Array): string | undefined {
  const text = Buffer.from(body.subarray(0, 4096)).toString("latin1")
  return /^\s*(?:<\?xml[^>]*>\s*)?<Error\b[^>]*>[^]*?<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(text)?.[1]
}

function meaningOf(status: number, code = ""): ClientErrorCode {
  return meanings[code] ?? byStatus[status] ?? (status >= 500 ? "UNAVAILABLE" : "PROTOCOL")
}
