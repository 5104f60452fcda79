/**
 * Blobs on real S3 servers, and the faults of those: `pnpm test:s3`, or `pnpm test:s3 contract`. Ceph's gateway is started
 * from Debian's packages, versitygw is built from pinned sources. Says what it could not check where they are missing;
 * REQUIRE_S3=1 makes that a failure.
 */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"

const wanted = process.argv.slice(2)
const folder = fileURLToPath(new URL("../test/s3/", import.meta.url))
const files = globSync("*.s3.ts", { cwd: folder })
  .filter((file) => wanted.length === 0 || wanted.some((name) => file.startsWith(name)))
  .toSorted()
const { status } = spawnSync(process.execPath, ["--test", "--test-concurrency=1", ...files], {
  cwd: folder,
  stdio: "inherit",
})
process.exit(status ?? 1)
