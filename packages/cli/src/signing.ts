/** From a path and a name to a signed envelope: what `sign` and `publish` share. */
import { readTrust } from "@weighlock/client"
import {
  type Draft,
  type Envelope,
  formatTime,
  makeStatement,
  type Manifest,
  ManifestError,
  parseReference,
  parseStatement,
  requireUnexpired,
  signEnvelope,
  type Signer,
  statementPayloadType,
  type TrustRoot,
} from "@weighlock/manifest"
import { hashFiles } from "@weighlock/manifest/node"
import { type CommonFlags, type ConnectionFlags, type Context } from "./context.ts"
import { openCosigner } from "./cosign.ts"
import { usage } from "./errors.ts"
import { warnOfExpiry } from "./expiry.ts"
import { readInput, requirePath } from "./files.ts"
import { chooseKeys, openKey } from "./keys.ts"
import { listingLines, type Taken, warningLines } from "./publishing/listing.ts"
import { prepare, type PrepareFlags, prepareSigned } from "./publishing/prepare.ts"
import { requireSameFiles } from "./same-files.ts"
import { readSigned } from "./signed-file.ts"

export interface SignFlags extends CommonFlags, ConnectionFlags, PrepareFlags {
  readonly as?: string
  readonly envelope?: string
  readonly meta: readonly string[]
  readonly key: readonly string[]
  /** Nothing is sent, nor written into the model. */
  readonly dryRun?: boolean
  /** PEM file of a P-256 key that signs as well. */
  readonly cosignP256?: string
}

export interface Signed {
  readonly manifest: Manifest
  readonly envelope: Envelope
  /** The files behind the manifest, and what else was there. */
  readonly taken: Taken
}

/**
 * Signs `path` anew under `--as`, or adds signatures to what others signed (`--envelope`). For a registry
 * (`use: "publish"`) every cosigner must be in the trust root; in a file any may be.
 */
export async function signPath(
  context: Context,
  path: string,
  flags: SignFlags,
  use: "publish" | "file",
): Promise<Signed> {
  const trust = await trustOf(context, flags)
  const folder = context.path(path)
  await requirePath(folder)
  const cosigners = await openCosigners(context, flags, trust, use)
  const signed =
    flags.envelope === undefined
      ? await signAnew(context, folder, trust.registry, flags, cosigners)
      : await signFurther(context, folder, trust.registry, { ...flags, envelope: flags.envelope }, cosigners)
  for (const { keyid } of signed.envelope.signatures) {
    if (!trust.keys.has(keyid))
      context.out.warn(`the key ${keyid} is not in the trust root: no one will count its signature`)
  }
  return signed
}

/** A registry refuses a signature that it can't judge, so that is said before anything is hashed. */
async function openCosigners(
  context: Context,
  flags: SignFlags,
  trust: TrustRoot,
  use: "publish" | "file",
): Promise<readonly Signer[]> {
  if (flags.cosignP256 === undefined) return []
  const signer = await openCosigner(context.settings, context.path(flags.cosignP256), flags)
  const { keyid } = signer.publicKey
  if (use === "publish" && !trust.keys.has(keyid))
    throw new ManifestError("SIGNER_UNTRUSTED", `the P-256 key ${keyid} is not in the trust root`, {
      hint: "publish without it, then: weighlock sign PATH --envelope RECEIPT --cosign-p256 KEY -o FILE, and export that",
    })
  return [signer]
}

async function signAnew(
  context: Context,
  path: string,
  registry: string,
  flags: SignFlags,
  cosigners: readonly Signer[],
): Promise<Signed> {
  requireName(flags)
  metadataOf(flags.meta) // --golden writes into the model: what is wrong is said before
  const labels = await chooseKeys(context.settings, flags.key)
  const signers = [...(await openSigners(context, labels, flags)), ...cosigners]
  const { taken, exclude, close } = await prepare(context, path, flags)
  try {
    tell(context, taken, flags)
    const payload = makeStatement(await draftOf(context, registry, flags, { ...taken, exclude }))
    const envelope = await signEnvelope({ payloadType: statementPayloadType, payload }, signers)
    return { manifest: parseStatement(payload), envelope, taken }
  } finally {
    await close()
  }
}

/** Nobody signs what he does not hold: the files must be the ones in the envelope. */
async function signFurther(
  context: Context,
  path: string,
  registry: string,
  flags: SignFlags & { envelope: string },
  cosigners: readonly Signer[],
): Promise<Signed> {
  const { envelope: before } = readSigned(await readInput(context.path(flags.envelope)))
  if (before.payloadType !== statementPayloadType) throw usage(`${flags.envelope} holds no manifest`)
  const manifest = parseStatement(before.payload)
  const name = `${manifest.model}@${manifest.version}`
  if (manifest.registry !== registry)
    throw usage(`${flags.envelope} is for the registry ${manifest.registry}, not ${registry}`)
  if (flags.as !== undefined && flags.as !== name) throw usage(`${flags.envelope} is ${name}, not ${flags.as}`)
  await requireSameFiles(context, path, manifest, flags)
  const taken = await prepareSigned(context, path, manifest, flags)
  tell(context, taken, flags)
  const signers = [...(await openSigners(context, flags.key, flags)), ...cosigners]
  return { manifest, envelope: await signEnvelope(before, signers), taken }
}

/** Says the identity that goes into what is signed: only a trust root file can, without asking the network. */
async function trustOf(context: Context, flags: SignFlags): Promise<TrustRoot> {
  const chain = await readTrust(context.settings.trust(flags))
  if (chain === null) throw usage("signing needs the trust root file, not only its pin", "give --trust FILE")
  requireUnexpired(chain.current, new Date()) // what is signed under it would be refused by everyone
  warnOfExpiry(context.out, chain.current)
  return chain.current
}

async function openSigners(context: Context, labels: readonly string[], flags: SignFlags): Promise<Signer[]> {
  const signers: Signer[] = []
  for (const label of labels) signers.push(await openKey(context.settings, label, flags))
  return signers
}

function requireName({ as }: SignFlags): { model: string; version: string } {
  if (as === undefined) throw usage("nothing says under which name", "give --as namespace/name@version")
  const { host, model, selector } = parseReference(as)
  if (selector.by !== "version" || host !== undefined)
    throw usage(`--as ${as} is not namespace/name@version`, "write --as acme/mnist@1.0.0")
  return { model, version: selector.version }
}

/** What is taken is shown before it is hashed, signed and sent; of a dry run it is the result. */
function tell({ out }: Context, taken: Taken, { dryRun = false }: SignFlags): void {
  for (const line of warningLines(taken)) out.warn(line)
  if (!dryRun) out.notes(listingLines(taken))
}

/** Hashes what was taken and says what would be signed; `registry` is the trust root's. */
async function draftOf(
  context: Context,
  registry: string,
  flags: SignFlags,
  { files, format, entrypoint, exclude }: Taken & { readonly exclude: readonly string[] },
): Promise<Draft> {
  const { model, version } = requireName(flags)
  const metadata = metadataOf(flags.meta)
  let [done, total] = [0, 0]
  const resources = await hashFiles(files, {
    signal: context.io.signal,
    onStart: ({ bytes }) => (total = bytes),
    onBytes: (count) => context.progress.update({ phase: "hash", done: (done += count), total }),
  })
  context.progress.end()
  return {
    registry,
    model,
    version,
    createdAt: formatTime(new Date()),
    format,
    ...(entrypoint === undefined ? {} : { entrypoint }),
    metadata,
    exclude,
    resources,
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
