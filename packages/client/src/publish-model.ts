/** Publishing: upload what is missing, post the envelope, and believe it only when the answer verifies. */
import { lstat } from "node:fs/promises"
import {
  admitPublish,
  type Bundle,
  type Envelope,
  formatBundle,
  formatEnvelope,
  limits,
  type Manifest,
  ManifestError,
  parseBundle,
  parseStatement,
  type VerifiedManifest,
} from "@weighlock/manifest"
import { type FoundFile, listFiles } from "@weighlock/manifest/node"
import { ClientError } from "./errors.ts"
import { admit, resolve, type Resolved } from "./resolve.ts"
import { type ClientOptions, type Session, withSession } from "./session.ts"
import { type LocalFile, uploadMissing } from "./upload.ts"
import { untilWitnessed } from "./witnessed.ts"

export interface Published {
  readonly manifest: VerifiedManifest
  readonly bundle: Bundle
  /** `false` when the registry had this very version already. */
  readonly created: boolean
}

export interface PublishOptions extends ClientOptions {
  /** Where the signed files are, as they were listed then (also behind links); without it the folder is listed again. */
  readonly files?: readonly Pick<FoundFile, "name" | "path">[]
}

/**
 * `envelope` is signed over the manifest of the files below `path`. Safe to repeat: the same envelope gives the same
 * answer. Throws VERSION_EXISTS, SIGNER_UNTRUSTED, FORBIDDEN, UNAVAILABLE … ; NOT_YET_WITNESSED when it is logged, and
 * after 10 s too few witnesses have confirmed it. Success means that `bundle` was verified, with its proof.
 */
export async function publishModel(path: string, envelope: Envelope, options: PublishOptions): Promise<Published> {
  const manifest = parseStatement(envelope.payload)
  return await withSession(options, undefined, async (session) => {
    // What the registry would refuse is refused here, before any upload.
    admitPublish({
      envelope,
      trustChain: session.trustChain,
      model: manifest.model,
      now: new Date(),
      verifiers: "every",
    })
    await session.seen.prepare()
    await session.seen.read()
    await uploadMissing(session, await locate(path, manifest, options))
    const { status, body } = await session.transport.call(`api/v1/models/${manifest.model}/versions`, {
      what: `publishing ${manifest.model}@${manifest.version}`,
      method: "POST",
      body: formatEnvelope(envelope),
      contentType: "application/json",
      limit: limits.bundle,
    })
    return { ...(await receipt(session, manifest, body)), created: status === 201 }
  })
}

/** The answer, verified; where the trust root asks for witnesses, the first answer that enough of them have cosigned. */
async function receipt(session: Session, { model, digest }: Manifest, body: Uint8Array): Promise<Resolved> {
  const reference = { model, selector: { by: "digest", digest } } as const
  let answered: Uint8Array | null = body
  return await untilWitnessed(async () => {
    const first = answered
    answered = null
    return first === null ? await resolve(session, reference) : await admit(session, reference, parseBundle(first))
  }, session.signal)
}

async function locate(path: string, manifest: Manifest, { files }: PublishOptions): Promise<LocalFile[]> {
  const listed = files ?? (await listFiles(path, manifest.exclude))
  const paths = new Map(listed.map((file) => [file.name, file.path]))
  const located: LocalFile[] = []
  for (const resource of manifest.resources) {
    const { name, size } = resource
    const found = paths.get(name)
    const now = found === undefined ? null : await lstat(found).catch(() => null)
    if (found === undefined || now === null)
      throw new ClientError("NOT_FOUND", `${name} was signed, but is no longer in ${path}`)
    if (!now.isFile() || now.size !== size)
      throw new ManifestError("FILE_CHANGED", `${found} was signed with ${size} bytes, it has ${now.size}`)
    located.push({ resource, path: found })
  }
  return located
}

/** The exact bytes to keep as a receipt. */
export function receiptBytes({ bundle }: Pick<Published, "bundle">): Uint8Array {
  return formatBundle(bundle)
}
