/**
 * What a publisher leaves out unless told otherwise: what tools drop into a folder, and what `.weighlockignore` names.
 *
 *     # .weighlockignore, with gitignore's syntax; one in a sub-folder is about that sub-folder
 *     checkpoints/
 *     *.log
 *     !train.log
 */
import { readFile, stat } from "node:fs/promises"
import { basename, join } from "node:path"
import type { LeaveOutRules } from "@weighlock/manifest/node"
import { isTemporary } from "@weighlock/node"
import ignore, { type Ignore } from "ignore"
import { usage } from "../errors.ts"

const ignoreFile = ".weighlockignore"
const maxIgnoreFile = 2 ** 20

const byName: ReadonlyMap<string, string> = new Map([
  [".git", "a Git repository"],
  [".hg", "a Mercurial repository"],
  [".svn", "a Subversion working copy"],
  ["__pycache__", "compiled Python"],
  [".ipynb_checkpoints", "notebook checkpoints"],
  [".DS_Store", "written by the Finder"],
  ["Thumbs.db", "written by the Explorer"],
  ["desktop.ini", "written by the Explorer"],
])

export class PublisherRules implements LeaveOutRules {
  readonly #root: string
  readonly #wanted: readonly string[]
  /** Of each folder with an ignore file, "" being the top. */
  readonly #ignores = new Map<string, Ignore>()

  /** `wanted` are exact paths that are taken whatever the rules say. */
  constructor(root: string, wanted: readonly string[]) {
    this.#root = root
    this.#wanted = wanted
  }

  async enter(folder: string, names: ReadonlySet<string>): Promise<void> {
    if (names.has(ignoreFile)) this.#ignores.set(folder, await readIgnore(join(this.#root, folder, ignoreFile)))
  }

  why(path: string, isFolder: boolean): string | null {
    if (!isFolder && this.#wanted.includes(path)) return null
    return this.#ruleOf(path, isFolder) ?? null
  }

  wants(path: string): boolean {
    return this.#wanted.some((name) => name === path || name.startsWith(`${path}/`))
  }

  /** `undefined` where nothing speaks of it; the nearest ignore file has the last word, also over our own names, but its own. */
  #ruleOf(path: string, isFolder: boolean): string | null | undefined {
    if (basename(path) === ignoreFile) return "says what is left out"
    for (let folder = parentOf(path); folder !== null; folder = parentOf(folder)) {
      const below = folder === "" ? path : path.slice(folder.length + 1)
      const found = this.#ignores.get(folder)?.test(isFolder ? `${below}/` : below)
      if (found?.unignored === true) return null
      if (found?.ignored === true) return `${ignoreFile}: ${found.rule?.pattern ?? "left out"}`
    }
    return whyByName(path)
  }
}

function whyByName(path: string): string | undefined {
  const name = basename(path)
  if (path === ".cache/huggingface" || path.endsWith("/.cache/huggingface")) return "what the Hub's client keeps"
  if (path === "weighlock.toml") return "settings of this tool"
  if (isTemporary(name)) return "left by a command of this tool that was stopped"
  return byName.get(name) ?? (name.startsWith("._") ? "written by macOS" : undefined)
}

function parentOf(path: string): string | null {
  return path === "" ? null : path.slice(0, Math.max(path.lastIndexOf("/"), 0))
}

async function readIgnore(path: string): Promise<Ignore> {
  const found = await stat(path).catch(() => null)
  if (found?.isFile() !== true || found.size > maxIgnoreFile)
    throw usage(`${path} is not a file of at most ${maxIgnoreFile} bytes`, "it holds one pattern a line")
  const text = (await readFile(path, "utf8")).replace(/^\uFEFF/, "")
  return ignore({ ignorecase: false }).add(text)
}
