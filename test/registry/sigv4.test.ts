/** Signatures as Amazon's own examples have them, and URLs of buckets. */
import assert from "node:assert/strict"
import { suite, test } from "node:test"

import { type S3Config, parseS3Place, signHeaders, signUrl } from "@weighlock/registry/s3"

// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and …/sigv4-query-string-auth.html
const signing = {
  credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" },
  region: "us-east-1",
  at: new Date("2013-05-24T00:00:00Z"),
}
const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
const welcome = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
const host = "https://examplebucket.s3.amazonaws.com"

suite("Amazon's examples", () => {
  const examples: readonly [string, string, string, Record<string, string>, string][] = [
    [
      "GET",
      "/test.txt",
      nothing,
      { range: "bytes=0-9" },
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ],
    [
      "PUT",
      "/test%24file.text",
      welcome,
      { date: "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY" },
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ],
    ["GET", "/?lifecycle", nothing, {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
    ["GET", "/?max-keys=2&prefix=J", nothing, {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
  ]
  for (const [method, path, sha256, extra, signature] of examples) {
    test(`${method} ${path}`, () => {
      const { authorization } = signHeaders(method, new URL(host + path), sha256, signing, { extra })
      const names = ["host", ...Object.keys(extra), "x-amz-content-sha256", "x-amz-date"].toSorted().join(";")
      assert.equal(
        authorization,
        `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=${names}, Signature=${signature}`,
      )
    })
  }

  test("a URL", () => {
    const url = new URL(signUrl(new URL(`${host}/test.txt`), 86_400, signing))
    assert.equal(
      url.searchParams.get("X-Amz-Signature"),
      "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
    )
  })
})

test("what a client sends anyway is signed, and not told; a session's token is both", () => {
  const credentials = { ...signing.credentials, sessionToken: "a-token" }
  const headers = signHeaders(
    "PUT",
    new URL(host),
    nothing,
    { ...signing, credentials },
    { implied: { "content-length": "4" } },
  )
  assert.deepEqual(Object.keys(headers).toSorted(), [
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
  ])
  assert.match(headers["authorization"] ?? "", /SignedHeaders=content-length;host;/)
})

suite("a place", () => {
  const places: readonly [S3Config, string, string, boolean][] = [
    [{ store: "s3://models", region: "eu-west-1" }, "https://s3.eu-west-1.amazonaws.com", "", true],
    [{ store: "s3://models/", region: "cn-north-1" }, "https://s3.cn-north-1.amazonaws.com.cn", "", true],
    [{ store: "s3://models.acme", region: "eu-west-1" }, "https://s3.eu-west-1.amazonaws.com", "", false],
    [{ store: "s3://models/a/b_c", endpoint: "http://127.0.0.1:7480/" }, "http://127.0.0.1:7480", "a/b_c/", false],
    [
      { store: "s3://models/a/", endpoint: "https://s3.acme.example", virtualHosted: true },
      "https://s3.acme.example",
      "a/",
      true,
    ],
  ]
  for (const [config, endpoint, prefix, virtualHosted] of places) {
    test(JSON.stringify(config), () => {
      const place = parseS3Place(config)
      assert.deepEqual([place.endpoint.origin, place.prefix, place.virtualHosted], [endpoint, prefix, virtualHosted])
    })
  }

  const refused: readonly S3Config[] = [
    { store: "models", region: "eu-west-1" },
    { store: "s3://", region: "eu-west-1" },
    { store: "s3:///a", region: "eu-west-1" },
    { store: "S3://models", region: "eu-west-1" },
    { store: "s3://Models", region: "eu-west-1" },
    { store: "s3://user@models", region: "eu-west-1" },
    { store: "s3://models/../x", region: "eu-west-1" },
    { store: "s3://models//x", region: "eu-west-1" },
    { store: "s3://models/a b", region: "eu-west-1" },
    { store: "s3://models/a?b", region: "eu-west-1" },
    { store: "s3://models/%2e", region: "eu-west-1" },
    { store: "s3://models" },
    { store: "s3://models", region: "eu.evil.example/" },
    { store: "s3://models", endpoint: "s3.acme.example" },
    { store: "s3://models", endpoint: "ftp://s3.acme.example" },
    { store: "s3://models", endpoint: "https://user:secret@s3.acme.example" },
    { store: "s3://models", endpoint: "https://s3.acme.example/path" },
    { store: "s3://models", endpoint: "https://s3.acme.example", publicEndpoint: "nowhere" },
  ]
  for (const config of refused) {
    test(`refused: ${JSON.stringify(config)}`, () => {
      assert.throws(() => parseS3Place(config), { code: "USAGE" })
    })
  }
})
