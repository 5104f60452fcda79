/** A log of its own for each test, without HTTP: real keys, real ledger, candidates that need no blob. */
import { sign } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"

import {
  type Signer,
  type TrustChain,
  formatEnvelope,
  makeFirstTrustRoot,
  makeStatement,
  openTrustChain,
  parseStatement,
  preAuthEncoding,
  signEnvelope,
  statementPayloadType,
  trustRootPayloadType,
} from "@weighlock/manifest"
import { generateEd25519, signerFor } from "@weighlock/manifest/node"
import { type Candidate, type Ledger, type OpenedLog, SqliteLedger, openLog } from "@weighlock/registry"
import { type NoteSigner, formatVkey } from "@weighlock/tlog"

import { origin } from "./support.ts"

export interface LogWorld {
  readonly folder: string
  readonly ledgerPath: string
  readonly copyPath: string
  readonly trustChain: TrustChain
  readonly noteSigner: NoteSigner
  readonly signer: Signer
}

export async function makeLogWorld(t: TestContext): Promise<LogWorld> {
  const folder = await mkdtemp(join(tmpdir(), "weighlock-log-"))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }))
  const key = generateEd25519()
  const signer = signerFor(generateEd25519())
  const vkey = formatVkey(`${origin}/log`, signerFor(key).publicKey.bytes)
  const expires = new Date(Date.now() + 365 * 86_400_000)
  const payload = makeFirstTrustRoot({ registry: origin, key: signer.publicKey, label: "alice", vkey, expires })
  const root = await signEnvelope({ payloadType: trustRootPayloadType, payload }, [signer])
  return {
    folder,
    ledgerPath: join(folder, "ledger.sqlite"),
    copyPath: join(folder, "checkpoint"),
    trustChain: openTrustChain([formatEnvelope(root)], { by: "file" }),
    noteSigner: { vkey, sign: (message) => sign(null, message, key) },
    signer,
  }
}

export interface TestLog extends OpenedLog {
  readonly ledger: SqliteLedger
}

export async function startLog(
  t: TestContext,
  world: LogWorld,
  changes: Partial<{ ledger: Ledger; now: () => number; signer: NoteSigner }> = {},
): Promise<TestLog> {
  const ledger = new SqliteLedger(world.ledgerPath)
  const opened = await openLog({
    ledger,
    trustChain: world.trustChain,
    signer: world.noteSigner,
    copy: world.copyPath,
    mode: "degrade",
    now: Date.now,
    ...changes,
  })
  let closed = false
  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    await opened.close()
    await ledger.close()
  }
  t.after(close)
  return { ...opened, ledger, close }
}

/** A publication as admission answers it. `variant` makes another manifest of the same version. */
export async function candidate(world: LogWorld, model: string, version: string, variant = 0): Promise<Candidate> {
  const payload = makeStatement({
    registry: origin,
    model,
    version,
    createdAt: `2026-11-23T12:00:${String(variant).padStart(2, "0")}Z`,
    format: "other",
    metadata: {},
    exclude: [],
    resources: [{ name: "w.bin", digest: "ab".repeat(32), size: 1 }],
  })
  const { digest, createdAt } = parseStatement(payload)
  const sig = await world.signer.sign(preAuthEncoding(statementPayloadType, payload))
  const signatures = [{ keyid: world.signer.publicKey.keyid, sig }]
  return { registry: origin, model, version, createdAt, digest, payload, signatures, blobs: [] }
}
