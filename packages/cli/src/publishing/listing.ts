/**
 * What is taken and what is left out, as people and programs read it.
 *
 *     takes 2 files, 1.2 MiB: tfjs-layers, from model.json
 *       507 B    model.json
 *       1.2 MiB  weights.bin
 *     leaves out 1:
 *       .git  (Git's own, never part of a model)
 */
import type { Manifest, ModelFormat } from "@weighlock/manifest"
import type { FoundFile, LeftOut } from "@weighlock/manifest/node"
import { counted } from "../describe.ts"
import { formatBytes } from "../progress.ts"

export interface Warning {
  readonly path: string
  readonly why: string
}

/** What is about to be signed. */
export interface Taken {
  readonly files: readonly FoundFile[]
  readonly leftOut: readonly LeftOut[]
  /** Taken, and yet worth a second look. */
  readonly warnings: readonly Warning[]
  readonly format: ModelFormat
  readonly entrypoint?: string
  /** Whether this version has a loader for it; absent where nobody asked. */
  readonly loadable?: boolean
  /** The engine that answered the golden example, if it was made now. */
  readonly golden?: string
}

export function listingLines({ files, leftOut, format, entrypoint, loadable }: Taken): string[] {
  const total = files.reduce((sum, { size }) => sum + size, 0)
  const sizes = files.map(({ size }) => formatBytes(size))
  const width = Math.max(...sizes.map(({ length }) => length))
  const from = entrypoint === undefined ? "" : `, from ${entrypoint}`
  return [
    `takes ${counted(files.length, "file")}, ${formatBytes(total)}: format ${format}${from}`,
    ...(loadable === false ? [`format ${format}: stored and verified, not loadable by serve`] : []),
    ...files.map(({ name }, at) => `  ${sizes[at]?.padStart(width)}  ${name}`),
    ...(leftOut.length === 0 ? [] : [`leaves out ${counted(leftOut.length, "path")}:`]),
    ...leftOut.map(({ path, why }) => `  ${path}  (${why})`),
  ]
}

/** `a.pkl, b.pt: a pickle: …` */
export function warningLines({ warnings }: Taken): string[] {
  const byWhy = Map.groupBy(warnings, ({ why }) => why)
  return [...byWhy].map(([why, each]) => `${each.map(({ path }) => path).join(", ")}: ${why}`)
}

/** The members of the `--json` document. */
export function listingJson(
  { leftOut, warnings, golden, loadable }: Taken,
  { resources }: Manifest,
): Record<string, unknown> {
  return {
    files: resources.map(({ name, size, digest }) => ({ path: name, size, sha256: digest })),
    leftOut,
    warnings,
    ...(loadable === undefined ? {} : { loadable }),
    ...(golden === undefined ? {} : { golden: { engine: golden, public: true } }),
    total: resources.reduce((sum, { size }) => sum + size, 0),
  }
}
