/** `weighlock trust show|sign` */
import { formatTime, type TrustRoot } from "@weighlock/manifest"
import type { Command } from "commander"
import { collect, common, type CommonFlags, type ConnectionFlags, connection, openContext } from "../context.ts"
import { usage } from "../errors.ts"
import { warnOfExpiry } from "../expiry.ts"
import { readInput } from "../files.ts"
import type { Io } from "../io.ts"

export function trustCommand(program: Command, io: Io): void {
  const trust = program.command("trust").description("who may do what")

  connection(trust.command("show"))
    .description("the pin, and who may do what")
    .action(async (flags: CommonFlags & ConnectionFlags) => {
      const { settings, out } = await openContext(io, flags)
      const { parseEnvelope, rootSignatures } = await import("@weighlock/manifest")
      const where = settings.trust(flags)
      if (where.startsWith("sha256:")) throw usage("trust show reads a file, not a pin", "give --trust FILE")
      // Shown before it is complete too: whoever signs next must see what he signs.
      const { trust: root, signed } = rootSignatures(parseEnvelope(await readInput(where)))
      const { threshold } = root.root
      if (signed < threshold) out.warn(`not valid yet: ${signed} of the ${threshold} signatures of its root role`)
      warnOfExpiry(out, root)
      out.result({
        json: { pin: `sha256:${root.digest}`, signed, threshold, ...describe(root) },
        text: table(root),
        digest: `sha256:${root.digest}`,
      })
    })

  common(trust.command("sign <file>"))
    .description("add a signature to a trust root")
    .option("--key <label>", "sign with this key; may be repeated", collect, [])
    .action(async (file: string, flags: CommonFlags & { key: readonly string[] }) => {
      const { settings, out, path } = await openContext(io, flags)
      const { formatEnvelope, parseEnvelope, rootSignatures, signEnvelope } = await import("@weighlock/manifest")
      const { chooseKeys, openKey } = await import("../keys.ts")
      const { replaceFile } = await import("../files.ts")
      const before = parseEnvelope(await readInput(path(file)))
      const { trust: root } = rootSignatures(before)
      const signers = []
      for (const label of await chooseKeys(settings, flags.key)) signers.push(await openKey(settings, label, flags))
      const stranger = signers.find(({ publicKey }) => !root.root.keys.includes(publicKey.keyid))
      if (stranger !== undefined)
        throw usage(`the key ${stranger.publicKey.keyid} is not in the root role`, "choose a root key with --key LABEL")
      const envelope = await signEnvelope(before, signers)
      const { signed } = rootSignatures(envelope)
      await replaceFile(path(file), formatEnvelope(envelope))
      out.result({
        json: { file: path(file), signed, threshold: root.root.threshold },
        text: `${file}: ${signed} of ${root.root.threshold} root signatures`,
        digest: `sha256:${root.digest}`,
      })
    })
}

function describe(root: TrustRoot): Record<string, unknown> {
  return {
    registry: root.registry,
    version: root.version,
    expires: formatTime(root.expires),
    root: root.root,
    keys: [...root.keys].map(([keyid, { key, label, compromised, retiredAt }]) => ({
      keyid,
      type: key.type,
      label,
      compromised,
      retiredAt,
    })),
    log: root.log,
    namespaces: root.namespaces,
  }
}

function table(root: TrustRoot): string {
  const name = (keyid: string): string => root.keys.get(keyid)?.label ?? `${keyid.slice(0, 12)}…`
  const role = ({ threshold, keys }: TrustRoot["root"]): string => `${threshold} of ${keys.map(name).join(", ")}`
  return [
    `registry   ${root.registry}  (version ${root.version}, expires ${formatTime(root.expires)})`,
    `pin        sha256:${root.digest}`,
    `root       ${role(root.root)}`,
    ...root.namespaces.map(
      ({ pattern, publish, promote }) => `${pattern.padEnd(10)} publish ${role(publish)}; promote ${role(promote)}`,
    ),
    ...[...root.keys].map(
      ([keyid, { key, label, compromised }]) =>
        `key        ${keyid}  ${key.type}  ${label ?? ""}${compromised === true ? "  COMPROMISED" : ""}`,
    ),
    `log        ${root.log.vkeys.join(" ")}`,
  ].join("\n")
}
