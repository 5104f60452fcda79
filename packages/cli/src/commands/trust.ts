/** `weighlock trust show|sign` */
import { readFile } from "node:fs/promises"
import type { TrustRoot } from "@weighlock/manifest"
import type { Command } from "commander"
import { collect, common, type CommonFlags, type ConnectionFlags, connection, openContext } from "../context.ts"
import { CliError, usage } from "../errors.ts"
import type { Io } from "../io.ts"

const warnFrom = 30 * 86_400_000

export function trustCommand(program: Command, io: Io): void {
  const trust = program.command("trust").description("who may do what")

  connection(trust.command("show"))
    .description("the pin, and who may do what")
    .action(async (flags: CommonFlags & ConnectionFlags) => {
      const { settings, out } = await openContext(io, flags)
      const { readTrust } = await import("@weighlock/client")
      const chain = await readTrust(settings.trust(flags))
      if (chain === null) throw usage("trust show reads a file, not a pin", "give --trust FILE")
      const { current, roots } = chain
      const left = current.expires.getTime() - Date.now()
      if (left < warnFrom)
        out.warn(
          left <= 0
            ? `it expired at ${current.expires.toISOString()}`
            : `it expires in ${Math.floor(left / 86_400_000)} days`,
        )
      out.result({
        json: { pin: `sha256:${roots[0]?.digest}`, ...describe(current) },
        text: table(current, roots[0]?.digest ?? ""),
        digest: `sha256:${roots[0]?.digest}`,
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
      const bytes = await readFile(path(file)).catch((cause: unknown) => {
        throw new CliError("NOT_FOUND", `cannot read ${file}`, { cause })
      })
      const before = parseEnvelope(bytes)
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
    expires: root.expires.toISOString(),
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

function table(root: TrustRoot, pin: string): string {
  const name = (keyid: string): string => root.keys.get(keyid)?.label ?? `${keyid.slice(0, 12)}…`
  const role = ({ threshold, keys }: TrustRoot["root"]): string => `${threshold} of ${keys.map(name).join(", ")}`
  return [
    `registry   ${root.registry}  (version ${root.version}, expires ${root.expires.toISOString().slice(0, 10)})`,
    `pin        sha256:${pin}`,
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
