/** `weighlock key new|list|export` */
import type { Command } from "commander"
import { type CommonFlags, common, openContext } from "../context.ts"
import type { Io } from "../io.ts"

export function keyCommand(program: Command, io: Io): void {
  const key = program.command("key").description("your signing keys")

  common(key.command("new <label>"))
    .description("make an Ed25519 key")
    .option("--no-passphrase", "leave it unencrypted")
    .action(async (label: string, flags: CommonFlags & { passphrase: boolean }) => {
      const { settings, out } = await openContext(io, flags)
      const { keyPath, newKey } = await import("../keys.ts")
      const { publicKey } = await newKey(settings, label, flags)
      const path = keyPath(settings, label)
      out.result({
        json: { label, keyid: publicKey.keyid, path },
        text: `${label}  ${publicKey.keyid}  ${path}`,
        digest: publicKey.keyid,
      })
      out.hint(`its public half: weighlock key export ${label}`)
    })

  common(key.command("list"))
    .description("labels and key ids (asks for passphrases it does not know)")
    .action(async (flags: CommonFlags) => {
      const { settings, out } = await openContext(io, flags)
      const { keyLabels, openPublicKey } = await import("../keys.ts")
      const { CodedError, encodeBase64 } = await import("@weighlock/manifest")
      const keys: { label: string; keyid?: string; type?: string; public?: string; problem?: string }[] = []
      for (const label of await keyLabels(settings)) {
        try {
          const { keyid, type, bytes } = await openPublicKey(settings, label, flags)
          keys.push({ label, keyid, type, public: encodeBase64(bytes) })
        } catch (error) {
          keys.push({ label, problem: error instanceof CodedError ? error.message : String(error) }) // one bad key hides no other
        }
      }
      out.result({
        json: { keys },
        text:
          keys.map(({ label, keyid, type, problem }) => `${label}  ${problem ?? `${type}  ${keyid}`}`).join("\n") ||
          "no keys",
        lines: keys.flatMap(({ keyid }) => keyid ?? []),
      })
    })

  common(key.command("export <label>"))
    .description("the public key as SPKI PEM")
    .action(async (label: string, flags: CommonFlags) => {
      const { settings, out } = await openContext(io, flags)
      const { openPublicKey } = await import("../keys.ts")
      const { publicKeyPem } = await import("@weighlock/manifest")
      const publicKey = await openPublicKey(settings, label, flags)
      const pem = publicKeyPem(publicKey)
      out.result({ json: { label, keyid: publicKey.keyid, pem }, text: pem.trimEnd(), digest: publicKey.keyid })
    })
}
