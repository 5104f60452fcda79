/** Where `audit` and `monitor` read a log: a registry, a mirror of an export on any web server, or an export in a folder. */
import { stat } from "node:fs/promises"
import { ClientError, readTrust, registryUrl, type SourceAddress } from "@weighlock/client"
import type { ConnectionFlags, Context } from "./context.ts"
import { CliError } from "./errors.ts"

export interface SourceFlags extends ConnectionFlags {
  readonly mirror?: boolean
}

/** `place` is what the user named; without it, the registry that every other command would ask. Throws NOT_FOUND. */
export async function sourceOf(
  { path, settings }: Context,
  place: string | undefined,
  flags: SourceFlags,
): Promise<SourceAddress> {
  if (place !== undefined && !/^https?:\/\//.test(place)) return await folderOf(path(place))
  const { registry, token, trust } = await settings.client(flags, () => undefined)
  const url = place ?? registry ?? registryUrl((await readTrust(trust))?.current.registry)
  if (flags.mirror === true) return { kind: "static", url }
  // The token is the configured registry's own: nobody else is sent it.
  const isOurs = place === undefined || originOf(place) === originOf(registry)
  return { kind: "registry", url, ...(token === undefined || !isOurs ? {} : { token }) }
}

/** "Not found" alone does not say that a whole log is missing there. */
export function explained(error: unknown, source: SourceAddress): unknown {
  const isMissing = error instanceof ClientError && error.code === "NOT_FOUND" && error.message.includes("checkpoint")
  if (!isMissing || source.kind === "folder") return error
  const where = source.kind === "registry" ? `${source.url}/log/checkpoint` : `${source.url}/checkpoint`
  return new CliError("NOT_FOUND", `there is no log at ${source.url}: it has no ${where}`, {
    cause: error,
    hint: "give the URL of a registry; for a copy of an export on a web server say --mirror",
  })
}

function originOf(url: string | undefined): string | null {
  return url === undefined ? null : (URL.parse(url)?.origin ?? null)
}

async function folderOf(folder: string): Promise<SourceAddress> {
  const found = await stat(folder).catch((cause: unknown) => {
    throw new CliError("NOT_FOUND", `there is no ${folder}`, {
      cause,
      hint: "name a folder that weighlock log export made, or the URL of a registry",
    })
  })
  const exported = found.isDirectory() && (await stat(`${folder}/checkpoint`).catch(() => null))?.isFile() === true
  if (!exported)
    throw new CliError("NOT_FOUND", `${folder} is no export of a log: it has no file named checkpoint`, {
      hint: "name a folder that weighlock log export made to its end",
    })
  return { kind: "folder", path: folder }
}
