/** A real registry with one model in it: small files and one of 20 MiB with parts. */
import { randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { after, type TestContext } from "node:test"
import { type ClientOptions, publishModel, type Published } from "@weighlock/client"
import { type Draft, makeStatement, signEnvelope, type Signer, statementPayloadType } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import type { RegistryConfig } from "@weighlock/registry"
import { makeWorld, origin, type Peer, startPeer, type World } from "../registry/support.ts"
import { type Hostile, startHostile } from "./hostile.ts"
import { tempFolder } from "./temp.ts"

export const model = "acme/mnist"
export const reference = `${model}@1.0.0`

export interface Shop {
  readonly world: World
  readonly peer: Peer
  /** Scratch. */
  readonly folder: string
  /** The published files. */
  readonly source: string
  readonly files: Readonly<Record<string, Buffer>>
  /** Straight to the registry, with a fresh cache and nothing seen. */
  readonly options: ClientOptions & { readonly cache: string; readonly state: string; readonly registry: string }
}

export const smallFiles = (): Record<string, Buffer> => ({
  "model.json": Buffer.from('{"format":"layers-model"}'),
  "empty.txt": Buffer.alloc(0),
  "weights/shard1.bin": randomBytes(70_000),
})
export const largeFiles = (): Record<string, Buffer> => ({
  ...smallFiles(),
  "weights/big.bin": randomBytes(17 * 2 ** 20), // three parts
})

export function writeFiles(folder: string, files: Readonly<Record<string, Buffer>>): void {
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true })
    writeFileSync(join(folder, name), bytes)
  }
}

export async function signFolder(
  source: string,
  signers: readonly Signer[],
  changes: Partial<Draft> = {},
): Promise<ReturnType<typeof signEnvelope>> {
  const payload = makeStatement({
    registry: origin,
    model,
    version: "1.0.0",
    createdAt: "2026-11-23T12:00:00Z",
    format: "other",
    metadata: {},
    exclude: [],
    resources: await hashFolder(source),
    ...changes,
  })
  return signEnvelope({ payloadType: statementPayloadType, payload }, signers)
}

export async function openShop(t: TestContext, config: Partial<RegistryConfig> = {}): Promise<Omit<Shop, "files">> {
  const world = await makeWorld(t)
  const peer = await startPeer(t, config, world)
  const folder = tempFolder(t)
  const source = join(folder, "source")
  mkdirSync(source)
  return {
    world,
    peer,
    folder,
    source,
    options: { registry: peer.url, trust: world.trust, cache: join(folder, "cache"), state: join(folder, "state") },
  }
}

export async function publishFiles(
  shop: Omit<Shop, "files">,
  files: Readonly<Record<string, Buffer>>,
  changes: Partial<Draft> = {},
): Promise<Published> {
  writeFiles(shop.source, files)
  return publishModel(shop.source, await signFolder(shop.source, [shop.world.signer], changes), shop.options)
}

/** Published and ready to be fetched. */
export async function stockedShop(
  t: TestContext,
  files: Readonly<Record<string, Buffer>> = smallFiles(),
): Promise<Shop> {
  const shop = await openShop(t)
  await publishFiles(shop, files)
  return { ...shop, files }
}

/** One shop for all tests of a file, closed at its end. */
export const sharedShop = (files?: Readonly<Record<string, Buffer>>): Promise<Shop> =>
  stockedShop({ after } as unknown as TestContext, files)

/** A client of its own, whose cache is empty, who has seen nothing, and who talks to a proxy that will do whatever the test says. */
export async function hostileClient(t: TestContext, shop: Shop): Promise<Shop & { readonly proxy: Hostile }> {
  const proxy = await startHostile(t, shop.peer.url)
  const folder = tempFolder(t)
  const own = { cache: join(folder, "cache"), state: join(folder, "state"), registry: proxy.url }
  return { ...shop, proxy, folder, options: { ...shop.options, ...own } }
}

/** Everything below `folder`, relative, sorted; directories end in a slash. */
export function tree(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1) + (entry.isDirectory() ? "/" : ""))
    .toSorted()
}
