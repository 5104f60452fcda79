/** The contract of blob stores on versitygw, whose S3 is another one's. */
import assert from "node:assert/strict"
import { after, test } from "node:test"

import { parseS3Place, probeBucket } from "@weighlock/registry/s3"

import { blobStoreContract } from "../contract/blob-store.ts"
import { Versity } from "../support/versity.ts"
import { freshBucket, openOn } from "./support.ts"

const versity = await Versity.start()
if (typeof versity === "string") test("blobs on versitygw", { skip: versity }, () => undefined)
else {
  after(() => versity.stop())
  process.env["AWS_ACCESS_KEY_ID"] = versity.account.accessKeyId
  process.env["AWS_SECRET_ACCESS_KEY"] = versity.account.secretAccessKey
  test("versitygw does what a registry needs of a bucket", async () => {
    const findings = await probeBucket(parseS3Place(await freshBucket(versity)))
    assert.deepEqual(
      findings.filter(({ state }) => state === "problem"),
      [],
    )
  })
  blobStoreContract("versitygw", async (t, options = {}) => openOn(t, await freshBucket(versity), options))
}
