/** From a path and a name to a signed envelope: what `sign` and `publish` share. */
import { lstat } from "node:fs/promises"
import { join } from "node:path"
import {
  type Draft,
  type Envelope,
  formatTime,
  makeStatement,
  parseFormat,
  parseReference,
  parseStatement,
  signEnvelope,
  type Signer,
  statementPayloadType,
  type Manifest,
} from "@weighlock/manifest"
import { hashFolder, listFiles } from "@weighlock/manifest/node"
import { type CommonFlags, type ConnectionFlags, type Context } from "./context.ts"
import { detect } from "./detect.ts"
import { usage } from "./errors.ts"
import { chooseKeys, openKey } from "./keys.ts"

export interface SignFlags extends CommonFlags, ConnectionFlags {
  readonly as: string
  readonly format?: string
  readonly entrypoint?: string
  readonly meta: readonly string[]
  readonly exclude: readonly string[]
  readonly key: readonly string[]
}

export async function openSigners(context: Context, flags: SignFlags): Promise<Signer[]> {
  const signers: Signer[] = []
  for (const label of await chooseKeys(context.settings, flags.key))
    signers.push(await openKey(context.settings, label, flags))
  return signers
}

/** Hashes the folder and says what would be signed; `registry` is the trust root's. */
export async function draftOf(context: Context, path: string, registry: string, flags: SignFlags): Promise<Draft> {
  const { host, model, selector } = parseReference(flags.as)
  if (selector.by !== "version" || host !== undefined)
    throw usage(`--as ${flags.as} is not namespace/name@version`, "write --as acme/mnist@1.0.0")
  const exclude = [...new Set(flags.exclude)].toSorted()
  for (const name of exclude) {
    await lstat(join(path, name)).catch(() => {
      throw usage(`there is no ${name} to exclude in ${path}`)
    })
  }
  const format = flags.format === undefined ? undefined : parseFormat(flags.format)
  const detected = await detect(await listFiles(path, exclude), { format, entrypoint: flags.entrypoint })
  const metadata = metadataOf(flags.meta)
  let [done, total] = [0, 0]
  const resources = await hashFolder(path, {
    exclude,
    onStart: ({ bytes }) => (total = bytes),
    onBytes: (count) => context.progress.update({ phase: "hash", done: (done += count), total }),
  })
  context.progress.end()
  return {
    registry,
    model,
    version: selector.version,
    createdAt: formatTime(new Date()),
    ...detected,
    metadata,
    exclude,
    resources,
  }
}

export async function signDraft(
  draft: Draft,
  signers: readonly Signer[],
): Promise<{ manifest: Manifest; envelope: Envelope }> {
  const payload = makeStatement(draft)
  return {
    manifest: parseStatement(payload),
    envelope: await signEnvelope({ payloadType: statementPayloadType, payload }, signers),
  }
}

function metadataOf(pairs: readonly string[]): Record<string, string> {
  const metadata = Object.create(null) as Record<string, string>
  for (const pair of pairs) {
    const cut = pair.indexOf("=")
    if (cut <= 0) throw usage(`--meta ${JSON.stringify(pair)} is not key=value`)
    const key = pair.slice(0, cut)
    if (Object.hasOwn(metadata, key)) throw usage(`--meta names ${key} twice`)
    metadata[key] = pair.slice(cut + 1)
  }
  return metadata
}
