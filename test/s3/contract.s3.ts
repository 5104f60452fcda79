/** The contract of blob stores on a real S3 server. */
import { test } from "node:test"

import { blobStoreContract } from "../contract/blob-store.ts"
import { forThisFile, freshBucket, openOn, skip } from "./support.ts"

const server = forThisFile()
if (skip !== false) test("blobs on S3", { skip }, () => undefined)
else blobStoreContract("RGW", async (t, options = {}) => openOn(t, await freshBucket(server()), options))
