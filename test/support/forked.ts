/**
 * One registry with one key and more than one history: what an operator can do who serves different users differently, or
 * who restores an old backup. All of them are real registries.
 */
import { cp } from "node:fs/promises"
import { join } from "node:path"
import type { TestContext } from "node:test"
import type { ClientOptions, Published } from "@weighlock/client"
import { type Peer, startPeer } from "../registry/support.ts"
import { type Hostile, startHostile } from "./hostile.ts"
import { openShop, publishFiles, type Shop } from "./published.ts"
import { tempFolder } from "./temp.ts"

export const versions = ["1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4"]

/** `main`: genesis, trust root and 1.0.0 to 1.0.4. `older`: main as it was after 1.0.1. `fork`: that, and others then. */
export interface Histories extends Omit<Shop, "files" | "options" | "peer"> {
  readonly main: Peer
  readonly older: Peer
  readonly fork: Peer
  /** Of 1.0.2 in the fork, when that had 5 entries. */
  readonly forkReceipt: Published
}

export async function makeHistories(t: TestContext): Promise<Histories> {
  const data = join(tempFolder(t), "data")
  const shop = await openShop(t, { data })
  const publish = (peer: Peer, version: string, text: string): Promise<Published> => {
    const options = { ...shop.options, registry: peer.url, state: tempFolder(t), cache: tempFolder(t) }
    return publishFiles({ ...shop, options }, { "model.json": Buffer.from(text) }, { version })
  }
  for (const version of versions.slice(0, 2)) await publish(shop.peer, version, version)
  await shop.peer.close()
  const copies = ["main", "older", "fork"].map(() => join(tempFolder(t), "data"))
  for (const copy of copies) await cp(data, copy, { recursive: true })
  const [main, older, fork] = await Promise.all(copies.map((copy) => startPeer(t, { data: copy }, shop.world)))
  if (main === undefined || older === undefined || fork === undefined) throw new TypeError("three registries")
  for (const version of versions.slice(2)) await publish(main, version, version)
  const receipts: Published[] = []
  for (const version of versions.slice(2)) receipts.push(await publish(fork, version, `another ${version}`))
  const [forkReceipt] = receipts
  if (forkReceipt === undefined) throw new TypeError("a receipt")
  return { ...shop, main, older, fork, forkReceipt }
}

export interface Client {
  readonly options: ClientOptions & { readonly state: string; readonly cache: string; readonly registry: string }
  readonly proxy: Hostile
  show(peer: Peer): void
}

/** Somebody who has seen nothing and asks a registry that can become another one between two questions. */
export async function newClient(t: TestContext, { main, world }: Histories): Promise<Client> {
  const proxy = await startHostile(t, main.url)
  const folder = tempFolder(t)
  return {
    options: {
      registry: proxy.url,
      trust: world.trust,
      cache: join(folder, "cache"),
      state: join(folder, "state"),
    },
    proxy,
    show: (peer) => void (proxy.target = peer.url),
  }
}
