/** publint and attw on the packages as they would be published. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { packAll } from "./pack.ts"

const bin = fileURLToPath(new URL("../../node_modules/.bin/", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "weighlock-pack-"))
try {
  for (const tarball of packAll(folder)) {
    execFileSync(join(bin, "publint"), ["run", tarball, "--strict"], { stdio: "inherit" })
    execFileSync(join(bin, "attw"), [tarball, "--profile", "esm-only", "--format", "ascii", "--no-emoji"], {
      stdio: "inherit",
    })
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
