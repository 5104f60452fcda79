/** `weighlock registry fsck|rebuild`: what is wrong with a registry's data, and the same log made anew from an export. */
import type { Finding } from "@weighlock/registry"
import type { OpenedBucket } from "@weighlock/registry/s3"
import type { Command } from "commander"
import { type CommonFlags, common, type Context, openContext } from "../context.ts"
import { counted } from "../describe.ts"
import { Finished } from "../errors.ts"
import type { Io } from "../io.ts"
import { printable } from "../output.ts"
import { storeConfig, type StoreFlags, storeOptions } from "../store-flags.ts"

interface DataFlags extends CommonFlags, StoreFlags {
  readonly data: string
  readonly trust?: string
  readonly checkpointCopy?: string
}

interface FsckFlags extends DataFlags {
  readonly hashBlobs?: boolean
}

interface RebuildFlags extends DataFlags {
  readonly blobs?: string
  readonly checkpoint?: string
  readonly newest?: boolean
}

export function repairCommands(registry: Command, io: Io): void {
  storeOptions(common(registry.command("fsck")))
    .description("look through a registry's data and say what is wrong; changes nothing")
    .requiredOption("--data <dir>", "the registry's data; stop the registry first")
    .option("--trust <file>", "the trust root file (WEIGHLOCK_TRUST, weighlock.toml)")
    .option("--checkpoint-copy <file>", "where the copy of the newest checkpoint is, if not in --data")
    .option("--hash-blobs", "read every blob, too, and compare it with its digest")
    .action(async (flags: FsckFlags) => check(await openContext(io, flags), flags))

  storeOptions(common(registry.command("rebuild <export>")))
    .description("make a registry's data anew from an export of its log: the same root, or nothing")
    .requiredOption("--data <dir>", "a new folder")
    .option("--trust <file>", "the trust root file (WEIGHLOCK_TRUST, weighlock.toml)")
    .option("--blobs <dir>", "old data to take the files of models from; with --store they go into the bucket")
    .option("--checkpoint-copy <file>", "the copy of the newest checkpoint, made if it is not there, if not in --data")
    .option("--checkpoint <file>", "the newest checkpoint that anybody has, where that copy is lost")
    .option("--newest", "where that copy is lost: nothing newer than the export was published, I am sure")
    .action(async (source: string, flags: RebuildFlags) => rebuildFrom(await openContext(io, flags), source, flags))
}

/** `null`: the blobs are in the data folder. */
async function withBucket<T>(
  context: Context,
  flags: StoreFlags,
  { claim }: { readonly claim: boolean },
  work: (bucket: OpenedBucket | null) => Promise<T>,
): Promise<T> {
  const config = storeConfig(context, flags)
  if (config === null) return await work(null)
  const { openBucket } = await import("@weighlock/registry/s3")
  const bucket = await openBucket(config, { claim })
  try {
    return await work(bucket)
  } finally {
    await bucket.close()
  }
}

async function check(context: Context, flags: FsckFlags): Promise<void> {
  const { out, path, settings, progress } = context
  const { fsck } = await import("@weighlock/registry")
  const { checkpointCopy, hashBlobs } = flags
  const { size, root, findings } = await withBucket(context, flags, { claim: false }, (bucket) =>
    fsck({
      data: path(flags.data),
      trust: settings.trust(flags),
      ...(checkpointCopy === undefined ? {} : { checkpointCopy: path(checkpointCopy) }),
      ...(hashBlobs === undefined ? {} : { hashBlobs }),
      ...(bucket === null ? {} : { bucket }),
    }),
  )
  progress.end()
  const verdict = findings.length === 0 ? "sound" : counted(findings.length, "finding")
  out.result({
    json: { size, root, findings, clean: findings.length === 0 },
    text: [...findings.map(findingText), `${verdict}: ${counted(size, "entry", "entries")}, root ${root}`]
      .map(printable)
      .join("\n"),
    digest: root,
  })
  if (findings.some(({ rule }) => ofTheLog.has(rule))) throw new Finished(14)
  if (findings.length > 0) throw new Finished(8)
}

/** The others are about this machine's files: a rebuild or a repeated publish mends them. */
const ofTheLog: ReadonlySet<Finding["rule"]> = new Set<Finding["rule"]>([
  "head",
  "tile",
  "leaf",
  "payload",
  "checkpoint",
  "copy",
  "cosignature",
  "history",
])

function findingText({ rule, place, message }: Finding): string {
  return `${place}  ${rule}  ${message}`
}

async function rebuildFrom(context: Context, source: string, flags: RebuildFlags): Promise<void> {
  const { rebuild } = await import("@weighlock/registry")
  const { out, path, settings, progress } = context
  const { blobs, checkpointCopy, checkpoint, newest } = flags
  const data = path(flags.data)
  const { size, root, versions, missing } = await withBucket(context, flags, { claim: blobs !== undefined }, (bucket) =>
    rebuild(
      {
        source: path(source),
        data,
        trust: settings.trust(flags),
        ...(blobs === undefined ? {} : { blobs: path(blobs) }),
        ...(checkpointCopy === undefined ? {} : { checkpointCopy: path(checkpointCopy) }),
        ...(checkpoint === undefined ? {} : { checkpoint: path(checkpoint) }),
        ...(newest === undefined ? {} : { newest }),
        ...(bucket === null ? {} : { bucket }),
      },
      ({ entries, of }) => progress.update({ phase: "rebuild", unit: "entries", done: entries, total: of }),
    ),
  )
  progress.end()
  const missingBlobs = [...new Set(missing.map(({ sha256 }) => sha256))].toSorted()
  out.result({
    json: { data, size, root, versions, missingBlobs, missing },
    text: [
      `rebuilt ${data}: ${counted(size, "entry", "entries")}, ${counted(versions, "version")}, root ${root}`,
      ...missing.map(({ model, version, path: name, sha256 }) =>
        printable(`missing  ${model}@${version}  ${name}  sha256:${sha256}`),
      ),
    ].join("\n"),
    digest: root,
  })
  if (missing.length > 0)
    out.warn(
      `${counted(missing.length, "file")} of these versions ${missing.length === 1 ? "is" : "are"} missing: publish them again, or rebuild with --blobs OLD-DATA`,
    )
}
