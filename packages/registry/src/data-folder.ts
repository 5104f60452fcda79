/** The folder that keeps everything: one process writes it, its ledger is proven before anything else is opened. */
import { readdir, stat } from "node:fs/promises"
import { join } from "node:path"

import { makeFolder } from "@weighlock/node"
import type { OpenedConfig } from "./config.ts"
import { RegistryError } from "./errors.ts"
import { CheckpointCopy } from "./log/checkpoint-copy.ts"
import { proveStart } from "./log/start-proof.ts"
import { SqliteLedger } from "./store/ledger-sqlite.ts"
import { lockWriter } from "./store/writer-lock.ts"

/** Things to undo, last first. */
export type Undo = (() => Promise<void> | void)[]

/** Throws CONFLICT (in use), USAGE (another trust root's, or made before the log), STORE_FAILED (damaged or behind). */
export async function openDataFolder(opened: OpenedConfig, undo: Undo): Promise<SqliteLedger> {
  const { data, checkpointCopy } = opened
  await makeFolder(data)
  const lock = lockWriter(join(data, "writer.lock"))
  undo.push(() => lock.release())
  const copyLock = await CheckpointCopy.lock(checkpointCopy)
  undo.push(() => copyLock.release())
  const path = join(data, "ledger.sqlite")
  const held = await anyBlob(data)
  if (held && !(await isFile(path))) throw ledgerLost(data)
  const ledger = new SqliteLedger(path)
  undo.push(() => ledger.close())
  if (held && (await ledger.head()) === null) throw ledgerLost(data)
  await requireSameTrust(ledger, opened)
  await proveStart({ rows: ledger.rows(), trustChain: opened.trustChain, copy: checkpointCopy })
  return ledger
}

/** A registry that lost its ledger would bind versions anew: blobs without one are refused. */
function ledgerLost(data: string): RegistryError {
  return new RegistryError("STORE_FAILED", `${data} holds blobs, and its ledger.sqlite is absent or empty`, {
    hint: "restore ledger.sqlite from a backup, or take an empty data folder",
  })
}

/** Whether the folder itself keeps blobs. */
export async function anyBlob(data: string): Promise<boolean> {
  const entries = await readdir(join(data, "blobs"), { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.some((entry) => !entry.isDirectory())
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.size > 0,
    () => false,
  )
}

/** A folder belongs to the trust root it was made with: another one is a mistake of usage, not damage. */
async function requireSameTrust(ledger: SqliteLedger, { trustChain, data }: OpenedConfig): Promise<void> {
  const [first] = await ledger.trustRoots()
  const [root] = trustChain.roots
  if (!first || first.digest === root?.digest) return
  throw new RegistryError(
    "USAGE",
    `${data} belongs to the trust root sha256:${first.digest}, not to sha256:${root?.digest}`,
    { hint: "serve it with the trust root it was made with, or take another data folder" },
  )
}
