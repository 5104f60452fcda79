/**
 * `weighlock engine add`: an engine's package from npm, at the version and with the integrity that this release names, its
 * scripts not run, into a folder of its own. What was there is replaced only by what has been checked.
 */
import { spawn } from "node:child_process"
import { copyFile, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { createFile, makeFolder, moveDurably, temporaryIn } from "@weighlock/node"
import { messageOf, RuntimeError } from "../../errors.ts"
import { checkNative } from "./check-native.ts"
import { hashNativeFiles } from "./native-files.ts"
import type { EnginePackage, Installed } from "./packages.ts"
import type { PinnedTree } from "./pinned-packages.ts"

export interface InstallOptions {
  /** The folder of engines. */
  readonly folder: string
  /** Holds CUDA providers of the same version, which join the package. */
  readonly cuda?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Of onnxruntime, as its wheels and archives name them. */
const providers = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"]

/** Throws USAGE, UNAVAILABLE where npm fails, DEVICE_UNAVAILABLE for files that are not the expected ones. */
export async function installEngine(engine: EnginePackage, options: InstallOptions): Promise<Installed> {
  const { pinned } = engine
  if (pinned === null) {
    throw new RuntimeError("USAGE", `${engine.package} is not installed by this command`, {
      hint: `npm install ${engine.package} in the service's folder, then weighlock engine lock`,
    })
  }
  await makeFolder(options.folder)
  const temporary = temporaryIn(options.folder)
  try {
    await makeFolder(temporary)
    await npmInstall(temporary, pinned, options.signal)
    await addProviders(join(temporary, "node_modules", engine.package), engine, options.cuda)
    requireKnown(engine, at(temporary, engine, pinned))
    const home = join(options.folder, engine.name)
    await rm(home, { recursive: true, force: true })
    await moveDurably(temporary, home)
    return at(home, engine, pinned)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

function at(home: string, engine: EnginePackage, { version }: PinnedTree): Installed {
  const folder = join(home, "node_modules", engine.package)
  return { folder, main: folder, version }
}

/** npm checks each tarball against the integrity of the lock that it is given. */
async function npmInstall(folder: string, tree: PinnedTree, signal: AbortSignal | undefined): Promise<void> {
  const dependencies = { [tree.package]: tree.version }
  const root = { name: "weighlock-engine", version: "0.0.0", private: true, dependencies }
  await createFile(join(folder, "package.json"), JSON.stringify(root))
  await createFile(join(folder, "package-lock.json"), JSON.stringify(npmLock(root, tree)))
  await runNpm(folder, ["ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--no-progress"], signal)
}

function npmLock(root: { readonly name: string; readonly version: string }, { packages }: PinnedTree): object {
  const entries = Object.entries(packages).map(([name, pinned]) => [`node_modules/${name}`, pinned] as const)
  const { name, version } = root
  return { name, version, lockfileVersion: 3, requires: true, packages: { "": root, ...Object.fromEntries(entries) } }
}

async function runNpm(folder: string, argv: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  const isWindows = process.platform === "win32"
  const said: string[] = []
  const code = await new Promise<number | null>((resolve, reject) => {
    // npm is a script there, which only a shell starts; none of the words is a caller's.
    const child = spawn(isWindows ? "npm.cmd" : "npm", argv, {
      cwd: folder,
      shell: isWindows,
      stdio: ["ignore", "pipe", "pipe"],
      ...(signal && { signal }),
    })
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => said.push(text.toString()))
    child.once("error", reject)
    child.once("close", resolve)
  }).catch((cause: unknown) => {
    signal?.throwIfAborted()
    throw new RuntimeError("UNAVAILABLE", `npm did not start: ${messageOf(cause)}`, {
      cause,
      hint: "install npm, which comes with Node, and see that it is on PATH",
    })
  })
  if (code === 0) return
  const why = said.join("").trim().split("\n").slice(-6).join("; ")
  throw new RuntimeError("UNAVAILABLE", `npm ended with ${code}: ${why}`, {
    hint: "what it says is npm's; a package that is not the one of this release is refused by its integrity",
  })
}

async function addProviders(home: string, { nativeFolder }: EnginePackage, cuda: string | undefined): Promise<void> {
  if (cuda === undefined) return
  for (const name of providers) {
    const from = join(cuda, name)
    const found = await stat(from).catch(() => null)
    if (found?.isFile() !== true) {
      throw new RuntimeError("USAGE", `${cuda} holds no ${name}`, {
        hint: "the folder onnxruntime/capi of the onnxruntime-gpu wheel of the same version holds them",
      })
    }
    await copyFile(from, join(home, nativeFolder, name))
  }
}

// The integrity held, so a file that is not in the table came by --cuda, or the table is wrong.
function requireKnown(engine: EnginePackage, installed: Installed): void {
  const { why } = checkNative(engine, installed)
  if (why === null && hashNativeFiles(installed.folder, engine.nativeFolder).length > 0) return
  throw new RuntimeError("DEVICE_UNAVAILABLE", why ?? `${engine.package} has no files for this machine`, {
    hint: "nothing was installed",
  })
}
