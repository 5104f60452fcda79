/**
 * The notebook, step by step, each a file beside this one, with its real output.
 *
 *     node examples/notebook/run.ts [--epochs 1] [--write]      --write puts the output into README.md
 *
 * Keras comes from PyPI into an environment of its own, or from WEIGHLOCK_NOTEBOOK_PYTHON; where it can't be had, step 1 says
 * so and trains the same network with TensorFlow.js (with REQUIRE_PYTHON=1 that is a failure).
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { folder as data, readDigits } from "../demo/mnist.ts"
import { makeNetwork, save, train } from "../demo/train.ts"

const { values } = parseArgs({ options: { epochs: { type: "string", default: "1" }, write: { type: "boolean" } } })
const epochs = Number(values.epochs)
const here = import.meta.dirname
const work = mkdtempSync(join(tmpdir(), "weighlock-notebook-"))
const main = join(dirname(fileURLToPath(import.meta.resolve("@weighlock/cli"))), "main.ts")
const children = new Set<ChildProcess>()
const env: Record<string, string | undefined> = {
  ...process.env,
  PATH: `${join(work, "bin")}:${dirname(process.execPath)}:${process.env["PATH"]}`,
  HOME: work,
  WEIGHLOCK_HOME: join(work, "home"),
  WEIGHLOCK_CACHE: join(work, "cache"),
  MODEL: "model.h5",
}

interface Step {
  readonly title: string
  readonly files: readonly string[]
  readonly output: string
}
const steps: Step[] = []

function done(title: string, files: readonly string[], output: string): void {
  process.stdout.write(`\n## ${title}\n${output}\n`)
  steps.push({ title, files, output: output.trim() })
}

/** What a command prints; throws when it fails, unless `mayFail`. */
function run(command: string, argv: readonly string[], mayFail = false): string {
  const { status, stdout, stderr, error } = spawnSync(command, argv, { cwd: work, env, encoding: "utf8" })
  if (error) throw error
  if (status !== 0 && !mayFail) throw new Error(`${command} ${argv.join(" ")} ended with ${status}: ${stdout}${stderr}`)
  return `${stdout}${mayFail ? stderr : ""}`
}

/** Starts what goes on running, and resolves with its first line. */
async function start(command: string, argv: readonly string[]): Promise<string> {
  // A group of its own: a script that is told to end would leave its command behind.
  const child = spawn(command, argv, { cwd: work, env, stdio: ["ignore", "pipe", "pipe"], detached: true })
  children.add(child)
  let said = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text))
  return await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve)
    child.once("exit", (code) => reject(new Error(`${command} ${argv.join(" ")} ended with ${code}: ${said}`)))
  })
}

/** A Python that has Keras, or why there is none. */
function findPython(): { readonly python: string } | { readonly why: string } {
  const given = process.env["WEIGHLOCK_NOTEBOOK_PYTHON"]
  const python = given ?? join(here, ".venv/bin/python")
  if (given === undefined && !existsSync(python)) {
    const made = spawnSync("python3", ["-m", "venv", join(here, ".venv")], { encoding: "utf8" })
    if (made.status !== 0) return { why: made.error?.message ?? (made.stdout + made.stderr).trim() }
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"]
    const installed = spawnSync(python, [...pip, join(here, "requirements.txt")], { encoding: "utf8" })
    if (installed.status !== 0) {
      rmSync(join(here, ".venv"), { recursive: true, force: true })
      return { why: installed.stderr.trim().split("\n").at(-1) ?? "pip failed" }
    }
  }
  return spawnSync(python, ["-c", "import keras"]).status === 0 ? { python } : { why: `${python} has no Keras` }
}

async function trainStep(): Promise<void> {
  const found = findPython()
  if ("python" in found) {
    const output = run(found.python, [join(here, "1-train.py"), data, String(epochs)])
    return done("1. Train, and save `model.h5`", ["1-train.py"], output)
  }
  if (process.env["REQUIRE_PYTHON"]) throw new Error(`Keras is required: ${found.why}`)
  const [network, digits] = [await makeNetwork(), await readDigits("train")]
  await train(network, digits, { from: 0, to: digits.count, epochs }, () => undefined)
  await save(network, join(work, "model"))
  env["MODEL"] = "model"
  done(
    "1. Train",
    ["1-train.py"],
    `Keras can't be had here (${found.why}): the same network, trained with TensorFlow.js`,
  )
}

async function prepare(): Promise<void> {
  const shim = join(work, "bin", "weighlock")
  mkdirSync(dirname(shim))
  writeFileSync(shim, `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`)
  chmodSync(shim, 0o755)
  run("weighlock", ["init", "registry", "--origin", "localhost", "--label", "alice", "--no-passphrase"])
  env["WEIGHLOCK_TRUST"] = join(work, "registry", "trust.json")
  const where = ["--data", "registry-data", "--trust", env["WEIGHLOCK_TRUST"], "--log-level", "silent"]
  const { url } = JSON.parse(await start("weighlock", ["registry", "serve", ...where, "--json"])) as { url: string }
  env["WEIGHLOCK_REGISTRY"] = url
}

async function deployStep(): Promise<void> {
  const line = await start("bash", [join(here, "3-deploy.sh")])
  const { url, folder } = JSON.parse(line) as { url: string; folder: string }
  env["SERVICE"] = url
  env["FOLDER"] = folder
  done("3. Deploy", ["3-deploy.sh"], line)
}

function askSteps(): number {
  const curl = run("bash", [join(here, "4-ask.sh")])
  done("4. Ask: curl, in the notebook's own shape", ["4-ask.sh"], curl)
  if (!curl.startsWith('{"result":{"prob":[')) throw new Error(`not the notebook's answer: ${curl}`)
  done("4. Ask: Python", ["4-ask.py"], run("python3", [join(here, "4-ask.py"), data]))
  const all = run("node", [join(here, "4-ask.mjs"), data])
  done("4. Ask: Node, all test digits", ["4-ask.mjs"], all)
  return Number(/: (0\.\d+)/.exec(all)?.[1])
}

function tamperStep(): void {
  const output = run("bash", [join(here, "5-tamper.sh")], true)
  done("5. Tamper, and start again", ["5-tamper.sh"], output)
  if (!/DIGEST_MISMATCH/.test(output) || !/exit [1-9]/.test(output)) throw new Error(`not refused: ${output}`)
}

function readme(): string {
  const shown = steps.map(({ title, files, output }) => {
    const source = files.map(
      (file) => `\`\`\`${file.split(".").at(-1)}\n${readFileSync(join(here, file), "utf8").trim()}\n\`\`\``,
    )
    return `## ${title}\n\n[${files.join("](), [")}](${files[0]})\n\n${source.join("\n\n")}\n\n\`\`\`console\n${output.replaceAll(work, "/tmp/notebook")}\n\`\`\``
  })
  return `# The notebook, whole

Where Weighlock began: train MNIST in Keras, save \`model.h5\`, pin its SHA-256 in a service, re-hash it at start, answer \`{"prob":[…]}\`. Here are its steps, one file each, as they ran with ${epochs} epoch${epochs === 1 ? "" : "s"} (\`node examples/notebook/run.ts --epochs ${epochs} --write\` made this page). The page that the service shows at \`/\` takes a digit that is drawn, on a phone too.

${shown.join("\n\n")}
`
}

async function stop(): Promise<void> {
  for (const child of children) {
    child.removeAllListeners("exit")
    const ended = new Promise((resolve) => child.once("close", resolve))
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGTERM")
    await ended
  }
  rmSync(work, { recursive: true, force: true })
}

try {
  await trainStep()
  done("2. Checksum", ["2-checksum.sh"], run("bash", [join(here, "2-checksum.sh")]))
  await prepare()
  await deployStep()
  const accuracy = askSteps()
  const least = epochs >= 5 ? 0.97 : 0.93
  if (!(accuracy >= least)) throw new Error(`accuracy ${accuracy}, less than ${least}`)
  tamperStep()
  if (values.write === true) writeFileSync(join(here, "README.md"), readme())
} finally {
  await stop()
}
