/**
 * Other people's programs against ours, as they are on the machine, built from pinned sources through the Go proxy or
 * installed from PyPI: `pnpm test:interop`. Says what it could not check where Go, Python, openssl or jq is missing;
 * REQUIRE_GO=1, REQUIRE_PYTHON=1 and REQUIRE_OPENSSL=1 make that a failure.
 */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL("../test/interop/", import.meta.url))
const files = globSync("*.test.ts", { cwd: folder }).toSorted()
const { status } = spawnSync(process.execPath, ["--test", "--test-concurrency=1", ...files], {
  cwd: folder,
  stdio: "inherit",
})
process.exit(status ?? 1)
