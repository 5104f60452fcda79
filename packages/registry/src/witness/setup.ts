/** Makes a witness, and tells it which logs to watch; also while it runs. */
import { stat } from "node:fs/promises"
import { join } from "node:path"

import { makeFolder } from "@weighlock/node"
import {
  type NoteSigner,
  TlogError,
  ed25519CosignatureType,
  emptyCheckpoint,
  formatCheckpoint,
  noteVerifier,
  parseVkey,
} from "@weighlock/tlog"

import { RegistryError } from "../errors.ts"
import { CheckpointCopy } from "../log/checkpoint-copy.ts"
import { copyPath, requireNoOther, requireNotBehind } from "./kept-state.ts"
import { WitnessStore } from "./store.ts"
import { keyPath, makeWitnessKey, openWitnessKey } from "./witness-key.ts"

export interface WatchedLog {
  readonly origin: string
  readonly vkeys: readonly string[]
  /** Of the largest tree that was cosigned; `null` before the first. */
  readonly size: number | null
}

/**
 * Makes the key and the state of a witness in a folder that has none, and says its verifier key; the same again where it is
 * there. Throws USAGE for what is no name, CONFLICT where the folder holds another witness.
 */
export async function initWitness({
  data,
  name,
}: {
  readonly data: string
  readonly name: string
}): Promise<{ readonly vkey: string }> {
  const vkey = (await isFile(statePath(data))) ? await withStore(data, (store) => store.vkey) : null
  if (vkey === null) return await make(data, name)
  if (parseVkey(vkey)?.name === name) return { vkey }
  throw new RegistryError("CONFLICT", `${data} holds the witness ${vkey}`, {
    hint: "another witness needs a folder of its own",
  })
}

async function make(data: string, name: string): Promise<{ readonly vkey: string }> {
  await makeFolder(join(data, "cosigned"))
  await requireNoOther(data, [])
  // The key first: a name that is none leaves nothing behind.
  const { vkey } = await makeWitnessKey(keyPath(data), name)
  await withStore(data, (store) => store.enrol(vkey))
  return { vkey }
}

/** Adds a key of a log to watch. `origin` is the key's name unless told. Throws USAGE, or STORE_FAILED (an old copy). */
export async function addLog({
  data,
  vkey,
  origin,
}: {
  readonly data: string
  readonly vkey: string
  readonly origin?: string
}): Promise<{ readonly origin: string; readonly vkeys: readonly string[] }> {
  const watched = parseLog(vkey, origin)
  await requireWitness(data)
  return await withStore(data, async (store) => {
    await requireNotBehind(data, watched, () => store.cosigned(watched), ownKey(store, data))
    // Its place outside the database is there before anything is cosigned: where it is absent later, it was taken away.
    const copy = await CheckpointCopy.open(copyPath(data, watched), null)
    await copy.close()
    store.addKey(watched, vkey)
    return { origin: watched, vkeys: store.keysOf(watched) }
  })
}

export async function watchedLogs({ data }: { readonly data: string }): Promise<readonly WatchedLog[]> {
  await requireWitness(data)
  return await withStore(data, (store) =>
    store.origins().map((origin) => ({
      origin,
      vkeys: store.keysOf(origin),
      size: store.cosigned(origin)?.size ?? null,
    })),
  )
}

export function statePath(data: string): string {
  return join(data, "witness.sqlite")
}

/** Throws USAGE where there is none. */
export async function requireWitness(data: string): Promise<void> {
  if (await isFile(statePath(data))) return
  throw new RegistryError("USAGE", `${data} holds no witness`, {
    hint: "make one: weighlock witness init DIR --name witness.example/w1",
  })
}

interface KeyedStore {
  /** `null`: it was never finished. */
  readonly vkey: string | null
}

/** The key with which everything in the store was cosigned. Throws USAGE or STORE_FAILED. */
export async function openSigner(data: string, store: KeyedStore): Promise<NoteSigner> {
  const vkey = ownKey(store, data)
  const signer = await openWitnessKey(keyPath(data), parseVkey(vkey)?.name ?? "")
  if (signer.vkey === vkey) return signer
  throw new RegistryError("STORE_FAILED", `${keyPath(data)} is not the key of this witness, which is ${vkey}`, {
    hint: "put the key back; a witness with another key is another witness, in a folder of its own",
  })
}

function ownKey(store: KeyedStore, data: string): string {
  const { vkey } = store
  if (vkey !== null) return vkey
  throw new RegistryError("STORE_FAILED", `the witness in ${data} was never finished`, {
    hint: "make it again: weighlock witness init DIR --name witness.example/w1",
  })
}

async function withStore<T>(data: string, work: (store: WitnessStore) => T | Promise<T>): Promise<T> {
  const store = new WitnessStore(statePath(data))
  try {
    return await work(store)
  } finally {
    store.close()
  }
}

function parseLog(vkey: string, origin: string | undefined): string {
  try {
    const key = parseVkey(vkey)
    if (key?.type === ed25519CosignatureType) throw new TlogError("MALFORMED", "it is a witness's key, not a log's")
    const { name } = noteVerifier(key ?? vkey)
    const watched = origin ?? name
    formatCheckpoint(emptyCheckpoint(watched))
    return watched
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause
    throw new RegistryError("USAGE", `not a log to watch: ${cause.message}`, {
      cause,
      hint: "give the log's verifier key, as its trust root and GET /api/v1/info show it",
    })
  }
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile() && found.size > 0,
    () => false,
  )
}
