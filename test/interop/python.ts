/**
 * What of other people's programs comes from PyPI, in one virtual environment beside this file: OpenSSF's `model_signing`,
 * `schemathesis`, and Keras on TensorFlow, which examples/notebook takes from here in CI. Versions are in requirements.txt; another list of them is another environment.
 *
 * Where Python, its venv or PyPI is missing a test says so and is skipped; REQUIRE_PYTHON=1 makes that a failure.
 */
import { createHash } from "node:crypto"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { TestContext } from "node:test"
import { fileURLToPath } from "node:url"
import { run } from "./go-code.ts"

const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url))
const venv = fileURLToPath(new URL(".venv", import.meta.url))

/** The path of a command, or null when the test was skipped. */
export async function pythonCommand(t: TestContext, name: "model_signing" | "schemathesis"): Promise<string | null> {
  const bin = join(venv, process.platform === "win32" ? "Scripts" : "bin")
  const [done, wanted] = [join(venv, "requirements.sha256"), createHash("sha256").update(readFileSync(requirements))]
  const digest = wanted.digest("hex")
  try {
    if (existsSync(done) && readFileSync(done, "utf8") === digest) return join(bin, name)
    rmSync(venv, { recursive: true, force: true })
    await run("python3", ["-m", "venv", venv])
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    await run(join(bin, "python"), ["-m", "pip", "install", ...quiet, "-r", requirements])
    writeFileSync(done, digest)
    return join(bin, name)
  } catch (cause) {
    if (process.env["REQUIRE_PYTHON"]) throw cause
    const why = (cause as Error).message.split("\n").slice(0, 3).join(" ")
    t.skip(`not checked: ${name} can't be installed here: ${why}`)
    return null
  }
}
