/** Bundles of other OpenSSF Model Signing tools: whom the user trusts for one, and whether a folder is what it signed. */
import { isAbsolute, relative, sep } from "node:path"
import { isSigstoreBundle, parseJson, parseOmsBundle } from "@weighlock/manifest"
import {
  openOms,
  type OmsSigner,
  type OmsTrust,
  parseOmsKey,
  parseRoots,
  verifyOmsFolder,
  type VerifiedOms,
} from "@weighlock/manifest/node"
import type { Context } from "./context.ts"
import { counted } from "./describe.ts"
import { usage } from "./errors.ts"
import { readInput, requirePath } from "./files.ts"
import { printable } from "./output.ts"

export interface OmsFlags {
  readonly keyFile?: string
  readonly certificateChain?: string
}

export interface ForeignModel {
  readonly oms: VerifiedOms
  /** The bundle, exact. */
  readonly bytes: Uint8Array
  /** Paths that are there and were left out, besides the names of Git. */
  readonly leftOut: readonly string[]
}

/** Throws USAGE for a bundle that only `--key-file` or `--certificate-chain` can judge. */
export function requireOurs(bytes: Uint8Array): void {
  if (!isSigstoreBundle(parseJson(bytes, "the signature file"))) return
  const { material } = parseOmsBundle(bytes)
  if (material.by === "certificate")
    throw usage("this bundle of another tool names certificates", "give --certificate-chain with the roots you trust")
  if (material.pem !== undefined)
    throw usage("this bundle of another tool holds its own key, which proves nothing", "give --key-file")
}

/** Verifies the bundle with what the flags trust, then the folder. */
export async function openForeign(
  context: Context,
  path: string,
  flags: OmsFlags & { readonly bundle: string },
  exclude: readonly string[],
): Promise<ForeignModel> {
  const [folder, file] = [context.path(path), context.path(flags.bundle)]
  const bytes = await readInput(file)
  const trust = await trustOf(context, flags)
  if (!isSigstoreBundle(parseJson(bytes, "the signature file")))
    throw usage(`${flags.bundle} is not a Sigstore bundle`, "ours are verified with --trust")
  await requirePath(folder)
  const signed = openOms(bytes, trust, new Date())
  const { files, ignored } = signed.statement
  // Their tools leave the bundle out when it lies in the folder, and up to v1.0 do not say so.
  const inside = pathInside(folder, file)
  const own = inside === null || files.some(({ name }) => name === inside) ? [] : [inside]
  const leftOut = [...new Set([...exclude.map(plain), ...own])]
  let [done, total] = [0, 0]
  const oms = await verifyOmsFolder(folder, signed, {
    exclude: leftOut,
    signal: context.io.signal,
    onStart: (totals) => (total = totals.bytes),
    onBytes: (count) => context.progress.update({ phase: "verify", done: (done += count), total }),
  })
  context.progress.end()
  return { oms, bytes, leftOut: [...new Set([...ignored, ...leftOut])] }
}

async function trustOf(context: Context, { keyFile, certificateChain }: OmsFlags): Promise<OmsTrust> {
  if ((keyFile === undefined) === (certificateChain === undefined))
    throw usage("nothing says whose signature this must be", "give --key-file, or --certificate-chain, and not both")
  const file = keyFile ?? certificateChain ?? ""
  const pem = Buffer.from(await readInput(context.path(file))).toString("latin1")
  return keyFile === undefined
    ? { by: "certificate", roots: parseRoots(pem, file) }
    : { by: "key", key: parseOmsKey(pem, file) }
}

function pathInside(folder: string, file: string): string | null {
  const inside = relative(folder, file)
  return inside === "" || inside.startsWith("..") || isAbsolute(inside) ? null : inside.split(sep).join("/")
}

/** As shells complete it: `./sub/` means `sub`. */
function plain(text: string): string {
  return text.replace(/^(?:\.\/)+/, "").replace(/\/+$/, "")
}

/** The members of the JSON document. */
export function foreignFacts({ oms, leftOut }: ForeignModel): Record<string, unknown> {
  const { statement, signer, digests, bytes } = oms
  return {
    verified: true,
    logged: false,
    bindsName: false,
    bindsVersion: false,
    signer: signerFacts(signer),
    statement: `sha256:${statement.digest}`,
    predicateType: statement.predicateType,
    hash: statement.hash,
    files: digests.size,
    bytes,
    leftOut,
  }
}

function signerFacts({ key, ...signer }: OmsSigner): Record<string, unknown> {
  const own = { method: signer.method, keyid: key.keyid, type: key.type }
  if (signer.method === "key") return own
  const { subject, fingerprint, root } = signer
  return { ...own, subject, certificate: `sha256:${fingerprint}`, root }
}

/** What a person reads. */
export function foreignText({ oms, leftOut }: ForeignModel): string {
  const { signer, digests } = oms
  const lines = [
    `signature verified, not logged: ${counted(digests.size, "file")}, signed by ${printable(whose(signer))}`,
    "no name and no version is bound: this says who signed these files, not what they are called",
  ]
  if (leftOut.length > 0) lines.push(`left out, and not checked: ${printable(leftOut.join(", "))}`)
  return lines.join("\n")
}

function whose(signer: OmsSigner): string {
  if (signer.method === "key") return `the ${signer.key.type} key ${signer.key.keyid}`
  return `${signer.subject} (certificate sha256:${signer.fingerprint}, issued under ${signer.root})`
}
