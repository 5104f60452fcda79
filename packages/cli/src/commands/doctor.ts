/** `weighlock doctor`: what is here, what is missing, and what to do about it. */
import { join } from "node:path"
import type { S3Config } from "@weighlock/registry"
import type { Command } from "commander"
import { type CommonFlags, type ConnectionFlags, connection, type Context, openContext } from "../context.ts"
import { counted, witnessed } from "../describe.ts"
import { Finished } from "../errors.ts"
import type { Io } from "../io.ts"
import { storeConfig, type StoreFlags, storeOptions } from "../store-flags.ts"

interface Finding {
  readonly name: string
  readonly state: "ok" | "warning" | "problem"
  readonly detail: string
}

export function doctorCommand(program: Command, io: Io): void {
  storeOptions(connection(program.command("doctor")))
    .description(
      "check keys, trust root, cache, engines, the way to the registry, and its log; or, with --store, a bucket",
    )
    .action(async (flags: CommonFlags & ConnectionFlags & StoreFlags) => {
      const context = await openContext(io, flags)
      const store = storeConfig(context, flags)
      const findings = store === null ? await ofThisMachine(context, flags) : await ofBucket(store)
      context.out.result({ json: { findings }, text: findings.map(findingText).join("\n") })
      if (findings.some(({ state }) => state === "problem")) throw new Finished(8)
    })
}

function findingText({ name, state, detail }: Finding): string {
  return `${state === "ok" ? "ok      " : state.padEnd(8)} ${name.padEnd(9)} ${detail}`
}

async function ofThisMachine(context: Context, flags: CommonFlags & ConnectionFlags): Promise<Finding[]> {
  return [
    { name: "node", state: "ok", detail: `${process.version} on ${process.platform}-${process.arch}` },
    ...(await Promise.all([
      checked("keys", () => keys(context)),
      checked("trust", () => trust(context, flags)),
      checked("cache", () => cache(context)),
      checked("registry", () => registry(context, flags)),
      checked("log", () => log(context, flags)),
      checked("address", () => address(context, flags)),
      checked("engines", () => engines()),
    ])),
  ]
}

/** What a registry needs of a bucket, seen by trying. */
async function ofBucket(store: S3Config): Promise<readonly Finding[]> {
  const { openS3Place, probeBucket } = await import("@weighlock/registry/s3")
  return await probeBucket(await openS3Place(store))
}

async function checked(name: string, look: () => Promise<Omit<Finding, "name">>): Promise<Finding> {
  try {
    return { name, ...(await look()) }
  } catch (error) {
    return { name, state: "problem", detail: error instanceof Error ? error.message : String(error) }
  }
}

async function keys({ settings }: Context): Promise<Omit<Finding, "name">> {
  const { keyLabels, keyPath } = await import("../keys.ts")
  const { readKeyFile } = await import("@weighlock/manifest/node")
  const labels = await keyLabels(settings)
  for (const label of labels) await readKeyFile(keyPath(settings, label))
  if (labels.length === 0)
    return { state: "warning", detail: `none in ${join(settings.home, "keys")}: you can fetch, but not publish` }
  return { state: "ok", detail: `${labels.join(", ")} in ${join(settings.home, "keys")}` }
}

async function trust({ settings }: Context, flags: ConnectionFlags): Promise<Omit<Finding, "name">> {
  const { readTrust } = await import("@weighlock/client")
  const where = settings.trust(flags)
  const chain = await readTrust(where)
  if (chain === null) return { state: "ok", detail: `pinned: ${where}` }
  const days = Math.floor((chain.current.expires.getTime() - Date.now()) / 86_400_000)
  return {
    state: days < 0 ? "problem" : days < 30 ? "warning" : "ok",
    detail: `${where}: ${chain.current.registry}, ${days < 0 ? "expired" : `${days} days left`}`,
  }
}

async function cache({ settings }: Context): Promise<Omit<Finding, "name">> {
  const { Cache } = await import("@weighlock/client")
  const entries = await (await Cache.open(settings.cache)).list()
  return { state: "ok", detail: `${entries.length} files in ${settings.cache}` }
}

async function registry({ settings, progress }: Context, flags: ConnectionFlags): Promise<Omit<Finding, "name">> {
  const { listModels } = await import("@weighlock/client")
  const options = await settings.client(flags, progress.update)
  const models = await listModels(options)
  return { state: "ok", detail: `${options.registry ?? "the trust root's registry"} answers, ${models.length} models` }
}

async function log({ settings, progress }: Context, flags: ConnectionFlags): Promise<Omit<Finding, "name">> {
  const { logHead } = await import("@weighlock/client")
  const head = await logHead(await settings.client(flags, progress.update))
  const detail = `${counted(head.checkpoint.size, "entry", "entries")}; witnesses: ${witnessed(head)}`
  return { state: head.quorum ? "ok" : "warning", detail }
}

/** Where the registry sends whoever uploads: is it reached there from here, and is it the same one? */
async function address({ settings, progress }: Context, flags: ConnectionFlags): Promise<Omit<Finding, "name">> {
  const { logHead, readTrust, registryInfo, registryUrl } = await import("@weighlock/client")
  const options = await settings.client(flags, progress.update)
  const { publicUrl } = await registryInfo(options)
  const asked = options.registry ?? registryUrl((await readTrust(options.trust))?.current.registry)
  if (URL.parse(publicUrl)?.origin === URL.parse(asked)?.origin)
    return { state: "ok", detail: `${publicUrl}, as asked` }
  try {
    const { token: _, ...untrusted } = options // that address is only what the registry says
    await logHead({ ...untrusted, registry: publicUrl })
    return { state: "ok", detail: `${publicUrl}, where the same log is served` }
  } catch (error) {
    if ((error as { code?: unknown }).code === "UNAUTHENTICATED")
      return { state: "ok", detail: `${publicUrl}, which answers, and wants a token` }
    const why = error instanceof Error ? error.message : String(error)
    return {
      state: "problem",
      detail: `${publicUrl} is what the registry gives out as its own address (its --public-url), and from here: ${why}`,
    }
  }
}

async function engines(): Promise<Omit<Finding, "name">> {
  const { listEngines } = await import("@weighlock/runtime")
  const found = await listEngines()
  const usable = found.filter((one) => one.usable).map(({ name, path }) => `${name} (${path})`)
  const others = found.filter((one) => !one.usable).map(({ name, why }) => `${name}: ${why}`)
  return {
    state: usable.length > 0 ? "ok" : "problem",
    detail: `usable: ${usable.join(", ") || "none"}; not here: ${others.join("; ") || "none"}`,
  }
}
