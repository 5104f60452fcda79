/** `weighlock engine add|list|verify|lock|remove`: native engines, and the lock of their files. */
import type { VerifiedEngine } from "@weighlock/runtime"
import type { Command } from "commander"
import { type CommonFlags, common, openContext } from "../context.ts"
import { CliError, Finished } from "../errors.ts"
import type { Io } from "../io.ts"

export function engineCommand(program: Command, io: Io): void {
  const engine = program.command("engine").description("native engines, and the lock of their files")

  common(engine.command("add <name>"))
    .description("install an engine from npm at the version of this release, and lock it")
    .option("--cuda <dir>", "onnxruntime: a folder with CUDA providers of the same version")
    .action(async (name: string, flags: CommonFlags & { cuda?: string }) => {
      const context = await openContext(io, flags)
      const { addEngine, listEngines } = await import("@weighlock/runtime")
      const cuda = flags.cuda === undefined ? undefined : context.path(flags.cuda)
      const added = await addEngine(name, { cuda, signal: io.signal })
      const engines = (await listEngines()).filter(({ path }) => path === added.path)
      context.out.result({
        json: { added, engines },
        text: [
          `${added.name} ${added.version} in ${added.path}, ${added.files} native files locked`,
          ...engines.map(
            ({ name, usable, why }) => `${usable ? "usable  " : "not here"} ${name}${why === null ? "" : `: ${why}`}`,
          ),
        ].join("\n"),
      })
    })

  common(engine.command("list"))
    .description("the engines, where they are, and whether each answers right here")
    .action(async (flags: CommonFlags) => {
      const { out } = await openContext(io, flags)
      const { listEngines } = await import("@weighlock/runtime")
      const engines = await listEngines()
      const text = engines.map(({ name, device, version, formats, usable, locked, why }) =>
        [
          usable ? "usable  " : "not here",
          name.padEnd(18),
          device,
          `${version ?? "-"}${locked === true ? " locked" : ""}`.padEnd(14),
          formats.join(", "),
          why ?? "",
        ]
          .join("  ")
          .trimEnd(),
      )
      out.result({ json: { engines }, text: text.join("\n") })
    })

  common(engine.command("verify"))
    .description("compare the native files with the lock")
    .action(async (flags: CommonFlags) => {
      const { out } = await openContext(io, flags)
      const { verifyEngines } = await import("@weighlock/runtime")
      const engines = verifyEngines()
      out.result({ json: { engines }, text: engines.map(stateText).join("\n") || "no engine is locked" })
      if (engines.some(({ why }) => why !== null)) throw new Finished(13)
    })

  common(engine.command("lock"))
    .description("lock the native files of every engine that is found, as they are now")
    .action(async (flags: CommonFlags) => {
      const { out } = await openContext(io, flags)
      const { lockEngines } = await import("@weighlock/runtime")
      const engines = await lockEngines()
      out.result({
        json: { engines },
        text: engines.map(stateText).join("\n") || "no engine with native files is found",
      })
    })

  common(engine.command("remove <name>"))
    .description("remove what `engine add` installed, and its line in the lock")
    .action(async (name: string, flags: CommonFlags) => {
      const { out } = await openContext(io, flags)
      const { removeEngine } = await import("@weighlock/runtime")
      if (!(await removeEngine(name))) throw new CliError("NOT_FOUND", `engine ${name} is not installed here`)
      out.result({ json: { removed: name }, text: `removed ${name}` })
    })
}

function stateText({ name, version, path, files, why }: VerifiedEngine): string {
  return why === null
    ? `ok       ${name} ${version}, ${files} native files in ${path}`
    : `changed  ${name} in ${path}: ${why}`
}
