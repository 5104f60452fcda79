/**
 * OpenSSF's own `model_signing` from PyPI, in a virtual environment of the test's own: versions are in requirements.txt.
 *
 * Where Python, its venv or PyPI is missing a test says so and is skipped; REQUIRE_PYTHON=1 makes that a failure.
 */
import { join } from "node:path"
import type { TestContext } from "node:test"
import { fileURLToPath } from "node:url"
import { run } from "./go-code.ts"

const requirements = fileURLToPath(new URL("requirements.txt", import.meta.url))

/** The path of the command, or null when the test was skipped. */
export async function modelSigning(t: TestContext, folder: string): Promise<string | null> {
  const bin = join(folder, "venv", process.platform === "win32" ? "Scripts" : "bin")
  try {
    await run("python3", ["-m", "venv", join(folder, "venv")])
    const quiet = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    await run(join(bin, "python"), ["-m", "pip", "install", ...quiet, "-r", requirements])
    return join(bin, "model_signing")
  } catch (cause) {
    if (process.env["REQUIRE_PYTHON"]) throw cause
    const why = (cause as Error).message.split("\n").slice(0, 3).join(" ")
    t.skip(`not checked: model_signing can't be installed here: ${why}`)
    return null
  }
}
