/** `weighlock cache list|prune` */
import type { Command } from "commander"
import { type CommonFlags, common, openContext } from "../context.ts"
import type { Io } from "../io.ts"
import { formatBytes } from "../progress.ts"
import { parseSize } from "../settings.ts"

export function cacheCommand(program: Command, io: Io): void {
  const cache = program.command("cache").description("what was downloaded")

  common(cache.command("list"))
    .description("cached files, least recently used first")
    .action(async (flags: CommonFlags) => {
      const { settings, out } = await openContext(io, flags)
      const { Cache } = await import("@weighlock/client")
      const { formatTime } = await import("@weighlock/manifest")
      const opened = await Cache.open(settings.cache)
      const entries = await opened.list()
      const total = entries.reduce((sum, { size }) => sum + size, 0)
      out.result({
        json: {
          folder: opened.folder,
          bytes: total,
          entries: entries.map(({ digest, size, usedAt }) => ({ sha256: digest, size, usedAt: formatTime(usedAt) })),
        },
        text: [
          ...entries.map(
            ({ digest, size, usedAt }) => `${digest}  ${formatBytes(size).padStart(9)}  ${formatTime(usedAt)}`,
          ),
          `${entries.length} files, ${formatBytes(total)} in ${opened.folder}`,
        ].join("\n"),
      })
    })

  common(cache.command("prune"))
    .description("remove the least recently used files beyond a size, and leftovers")
    .requiredOption("--max-bytes <size>", "what may stay, such as 0, 500M or 20G")
    .action(async (flags: CommonFlags & { maxBytes: string }) => {
      const { settings, out } = await openContext(io, flags)
      const { Cache } = await import("@weighlock/client")
      const { removed, bytes } = await (await Cache.open(settings.cache)).prune(parseSize(flags.maxBytes))
      out.result({ json: { removed, bytes }, text: `removed ${removed} files, ${formatBytes(bytes)}` })
    })
}
