/** Builds every package and packs it as it would be published: `pnpm pack` rewrites `workspace:` and `exports`. */
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
export const packages = ["tlog", "node", "manifest", "client", "registry", "runtime", "cli"] as const

/** Writes the tarballs to `folder` and returns their paths, in the order of `packages`. */
export function packAll(folder: string): string[] {
  mkdirSync(folder, { recursive: true })
  execFileSync(
    join(root, "node_modules", ".bin", "tsc"),
    ["-b", ...packages.map((name) => `packages/${name}`), "packages/manifest/tsconfig.node.json"],
    { cwd: root, stdio: "inherit" },
  )
  for (const name of packages) {
    execFileSync("npx", ["-y", "pnpm@12.21.0", "pack", "--pack-destination", folder], {
      cwd: join(root, "packages", name),
      stdio: ["ignore", "ignore", "inherit"],
    })
  }
  const files = readdirSync(folder)
  return packages.map((name) => {
    const file = files.find((candidate) => candidate.startsWith(`weighlock-${name}-`) && candidate.endsWith(".tgz"))
    if (file === undefined) throw new Error(`no tarball of ${name} in ${folder}`)
    return join(folder, file)
  })
}
