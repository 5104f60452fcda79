/** `weighlock init`: the first key, the log's key, the first trust root and the settings, in one go. */
import { access, rm } from "node:fs/promises"
import { join } from "node:path"
import { isLoopbackAuthority, moveDurably } from "@weighlock/node"
import type { Signer } from "@weighlock/manifest"
import type { Command } from "commander"
import { type CommonFlags, common, type Context, collect, openContext } from "../context.ts"
import { CliError, usage } from "../errors.ts"
import { createFile, makeFolder, readInput } from "../files.ts"
import { InitProgress } from "../init-progress.ts"
import type { Io } from "../io.ts"

interface InitFlags extends CommonFlags {
  readonly origin: string
  readonly passphrase: boolean
  readonly label?: string
  readonly from?: string
  readonly policy?: string
  readonly expires?: string
  readonly key: readonly string[]
}

export function initCommand(program: Command, io: Io): void {
  common(program.command("init [dir]"))
    .description("make the first key, the log key and the trust root of a new registry")
    .requiredOption("--origin <origin>", "the registry's identity, such as models.acme.example")
    .option("--label <label>", "name of the first key (default: the origin)")
    .option("--no-passphrase", "leave private keys unencrypted")
    .option("--from <file>", "sign this trust root payload, written by hand, instead")
    .option("--policy <file>", "witnesses that must confirm the log (c2sp.org/tlog-policy)")
    .option(
      "--expires <date>",
      "last moment of the trust root, 2027-12-31 or 2027-12-31T12:00:00Z (default: in a year)",
    )
    .option("--key <label>", "with --from: sign with this key; may be repeated", collect, [])
    .action(async (dir: string | undefined, flags: InitFlags) => {
      await init(await openContext(io, flags), dir ?? ".", flags)
    })
}

async function init(context: Context, dir: string, flags: InitFlags): Promise<void> {
  const { formatEnvelope, parseOrigin, parseTrustRoot, signEnvelope, trustRootPayloadType } =
    await import("@weighlock/manifest")
  const registry = parseOrigin(flags.origin)
  if (flags.from !== undefined && flags.expires !== undefined)
    throw usage("--expires is for a trust root that init makes", "the payload of --from says itself when it expires")
  if (flags.expires !== undefined) await expiryOf(flags.expires) // before anything is made
  const folder = context.path(dir)
  const paths = {
    trust: join(folder, "trust.json"),
    logKey: join(folder, "log-key.pem"),
    settings: join(folder, "weighlock.toml"),
  }
  const progress = new InitProgress(folder)
  await requireAbsent(paths, await progress.isThere())
  await makeFolder(folder)
  // What a killed init left of these was never used; a key is put aside all the same, should that be wrong.
  if (await progress.begin()) {
    if (await exists(paths.logKey)) await moveDurably(paths.logKey, `${paths.logKey}.unused`)
    await rm(paths.settings, { force: true })
  }

  const made = await (flags.from === undefined
    ? fresh(context, registry, flags, progress)
    : byHand(context, registry, flags.from, flags))
  const envelope = await signEnvelope({ payloadType: trustRootPayloadType, payload: made.payload }, made.signers)
  if (made.logKeyPem !== null) await createFile(paths.logKey, made.logKeyPem, 0o600)
  await createFile(
    paths.settings,
    `# Weighlock settings; paths are relative to this file.\ntrust = "trust.json"\nkey = "${made.label}"\n# registry = "${isLoopbackAuthority(registry) ? "http" : "https"}://${registry}"\n`,
  )
  await createFile(paths.trust, formatEnvelope(envelope)) // last: with it everything is there
  await progress.end()

  const { digest, root } = parseTrustRoot(made.payload)
  context.out.result({
    json: {
      registry,
      pin: `sha256:${digest}`,
      trust: paths.trust,
      ...(made.logKeyPem === null ? {} : { logKey: paths.logKey }),
      key: made.label,
      signatures: envelope.signatures.length,
      threshold: root.threshold,
    },
    text: `trust root of ${registry}: ${paths.trust}\npin: sha256:${digest}`,
    digest: `sha256:${digest}`,
  })
  if (envelope.signatures.length < root.threshold)
    context.out.hint(`${root.threshold} signatures are needed: weighlock trust sign ${paths.trust} --key LABEL`)
  else
    context.out.hint(
      `start the registry: weighlock registry serve --data ${join(folder, "data")} --trust ${paths.trust}`,
    )
}

interface Made {
  readonly payload: Uint8Array
  readonly signers: readonly Signer[]
  readonly label: string
  readonly logKeyPem: string | null
}

async function fresh(context: Context, registry: string, flags: InitFlags, progress: InitProgress): Promise<Made> {
  const { makeFirstTrustRoot } = await import("@weighlock/manifest")
  const policy = await readPolicy(context, flags)
  const label = flags.label ?? registry.replaceAll(":", "-").slice(0, 64)
  const signer = await firstKey(context, label, flags, progress)
  const log = await newLogKey(registry)
  const expires = await expiryOf(flags.expires)
  const payload = makeFirstTrustRoot({ registry, key: signer.publicKey, label, vkey: log.vkey, expires, policy })
  return { payload, signers: [signer], label, logKeyPem: log.pem }
}

/** A date is its last second. Throws USAGE for what is no date, and for one that is past. */
async function expiryOf(text: string | undefined): Promise<Date> {
  if (text === undefined) return new Date(Date.now() + 365 * 86_400_000)
  const { parseTime } = await import("@weighlock/manifest")
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T23:59:59Z` : text
  let expires: Date
  try {
    expires = parseTime(time, "--expires")
  } catch {
    throw usage(`--expires ${JSON.stringify(text)} is not a date`, "write 2027-12-31, or 2027-12-31T12:00:00Z")
  }
  if (expires.getTime() > Date.now()) return expires
  throw usage(`--expires ${text} is past`, "nothing that this trust root says would count")
}

/** A new key, or the one that an init made which was killed before it was done. */
async function firstKey(context: Context, label: string, flags: InitFlags, progress: InitProgress): Promise<Signer> {
  const { keyLabels, newKey, openKey } = await import("../keys.ts")
  if (await progress.isOfKey(label)) {
    if ((await keyLabels(context.settings)).includes(label)) {
      const signer = await openKey(context.settings, label, flags)
      if (await progress.hasMade(label, signer.publicKey.keyid)) return signer
    }
  }
  return await newKey(context.settings, label, flags, (keyid) => progress.tellKey(label, keyid))
}

async function byHand(context: Context, registry: string, file: string, flags: InitFlags): Promise<Made> {
  const { canonicalJson, parseJson, parseTrustRoot } = await import("@weighlock/manifest")
  const { chooseKeys, openKey } = await import("../keys.ts")
  const value = parseJson(await readInput(context.path(file)), file)
  let log: { vkey: string; pem: string } | null = null
  if (value !== null && typeof value === "object" && !Array.isArray(value) && value["log"] === undefined) {
    log = await newLogKey(registry)
    value["log"] = { origin: `${registry}/log`, vkeys: [log.vkey], policy: await readPolicy(context, flags) }
  } else if (flags.policy !== undefined) throw usage(`${file} has a log, and a policy with it`, "leave --policy out")
  const payload = canonicalJson(value)
  const trust = parseTrustRoot(payload)
  if (trust.registry !== registry)
    throw new CliError("USAGE", `${file} is for the registry ${trust.registry}, not ${registry}`)
  const labels = await chooseKeys(context.settings, flags.key)
  const signers = []
  for (const label of labels) signers.push(await openKey(context.settings, label, flags))
  const stranger = signers.find(({ publicKey }) => !trust.root.keys.includes(publicKey.keyid))
  if (stranger !== undefined)
    throw new CliError("USAGE", `the key ${stranger.publicKey.keyid} is not in the root role of ${file}`, {
      hint: "sign with a root key: --key LABEL",
    })
  return { payload, signers, label: labels[0] ?? "", logKeyPem: log?.pem ?? null }
}

/** Throws NOT_FOUND, USAGE. Read before any key is made. */
async function readPolicy({ path }: Context, { policy: file }: InitFlags): Promise<string> {
  if (file === undefined) return "quorum none\n"
  const { decodeUtf8 } = await import("@weighlock/manifest")
  const { parseWitnessPolicy, TlogError } = await import("@weighlock/tlog")
  const text = decodeUtf8(await readInput(path(file)), file)
  try {
    parseWitnessPolicy(text)
    return text
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw usage(`${file} is no policy: ${cause.message}`, "write witness and group lines, and one quorum line")
  }
}

/** The log key signs without anyone there to type, so it is never encrypted: file mode, or later a signer, protects it. */
async function newLogKey(registry: string): Promise<{ vkey: string; pem: string }> {
  const { derivePublicKey, formatPrivateKey, generateEd25519 } = await import("@weighlock/manifest/node")
  const { formatVkey } = await import("@weighlock/tlog")
  const key = generateEd25519()
  return { vkey: formatVkey(`${registry}/log`, derivePublicKey(key).bytes), pem: formatPrivateKey(key, null) }
}

/** Throws CONFLICT. The trust root is written last: where it is absent and an init was killed, the others are nobody's. */
async function requireAbsent(
  paths: { readonly trust: string; readonly [name: string]: string },
  wasKilled: boolean,
): Promise<void> {
  const there: string[] = []
  for (const path of Object.values(paths)) if (await exists(path)) there.push(path)
  const [path] = there
  if (path === undefined || (wasKilled && !there.includes(paths.trust))) return
  const hint = there.includes(paths.trust)
    ? "init never overwrites; choose another folder"
    : "choose another folder, or move it away"
  throw new CliError("CONFLICT", `${path} is there already`, { hint })
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
