/**
 * A registry that answers what a test wants of it, over a log in memory: what somebody who has the log's key can do to
 * those who read it.
 *
 *     const registry = await startTiny(t, log, envelopes)
 *     registry.over = (path) => (path === "log/tile/0/000" ? { status: 503 } : null)
 */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { TestContext } from "node:test"
import {
  encodeBase64,
  type Envelope,
  formatBundle,
  type Manifest,
  parseEnvelope,
  parseStatement,
  type TrustChain,
} from "@weighlock/manifest"
import { logFiles } from "../support/log-folder.ts"
import type { TinyLog } from "../support/tiny-log.ts"

interface Given {
  readonly status?: number
  readonly body?: Uint8Array | string
}

export interface TinyRegistry {
  readonly url: string
  /** Instead of what would be answered to that path, which begins without a slash. */
  over: (path: string) => Given | null
  readonly asked: string[]
}

export interface TinyShape {
  readonly chain: TrustChain
  readonly log: TinyLog
  /** By index, from 2 on. */
  readonly envelopes: readonly (Envelope | null)[]
  /** POSIX seconds: when its witnesses have signed. */
  readonly time?: number
}

export async function startTiny(t: TestContext, shape: TinyShape): Promise<TinyRegistry> {
  const files = logFiles(shape.log)
  files.set("checkpoint", Buffer.from(shape.log.note(shape.log.size, shape.time)))
  const server = createServer((request, response) => {
    const path = (request.url ?? "").slice(1)
    registry.asked.push(path)
    const { status = 200, body } = registry.over(path) ?? answer(shape, files, path)
    response.writeHead(status).end(body ?? "{}")
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const registry: TinyRegistry = { url: `http://127.0.0.1:${port}`, over: () => null, asked: [] }
  return registry
}

function answer(shape: TinyShape, files: ReadonlyMap<string, Uint8Array>, path: string): Given {
  const { log, chain, envelopes, time } = shape
  const [place = "", query = ""] = path.split("?")
  const asked = new URLSearchParams(query)
  const published = envelopes.flatMap((envelope, index) =>
    envelope === null ? [] : [{ envelope, index, manifest: parseStatement(envelope.payload) }],
  )
  const bundleOf = (wanted: (manifest: Manifest) => boolean): Given => {
    const found = published.find(({ manifest }) => wanted(manifest))
    return found === undefined
      ? { status: 404 }
      : { body: formatBundle(log.bundle(found.envelope, found.index, log.size, time)) }
  }
  const file = place.startsWith("log/") ? files.get(place.slice(4)) : undefined
  if (file !== undefined) return { body: file }
  if (place === "api/v1/trust/1")
    return { body: formatBundle(log.bundle(parseEnvelope(chain.envelopes[0] ?? new Uint8Array(0)), 1, log.size, time)) }
  if (place === "api/v1/models") {
    const names = [...new Set(published.map(({ manifest }) => manifest.model))].toSorted()
    return json({ models: names.map((model) => ({ model, versions: 1 })) })
  }
  const model = /^api\/v1\/models\/([^/]+\/[^/]+)$/.exec(place)?.[1]
  if (model !== undefined)
    return json({
      versions: published
        .map(({ manifest }) => manifest)
        .filter((one) => one.model === model)
        .map(listed),
    })
  const [, name, version] = /^api\/v1\/models\/([^/]+\/[^/]+)\/versions\/(.+)$/.exec(place) ?? []
  if (name !== undefined) return bundleOf((manifest) => manifest.model === name && manifest.version === version)
  const digest = /^api\/v1\/manifests\/sha256\/(.+)$/.exec(place)?.[1]
  if (digest !== undefined) return bundleOf((manifest) => manifest.digest === digest)
  if (place.startsWith("api/v1/log/proof/")) {
    const [index, size] = [Number(place.split("/").at(-1)), Number(asked.get("size"))]
    const hashes = log.inclusion(index, size).map(encodeBase64)
    return json({ index, size, entry: encodeBase64(log.entries[index] ?? new Uint8Array(0)), hashes })
  }
  if (place === "api/v1/log/consistency") {
    const [from, to] = [Number(asked.get("from")), Number(asked.get("to"))]
    return to > log.size ? { status: 404 } : json({ from, to, hashes: log.consistency(from, to).map(encodeBase64) })
  }
  return { status: 404 }
}

/** A version as a list has it. */
export function listed({ version, digest, createdAt }: Manifest): Record<string, string> {
  return { version, manifest: digest, createdAt }
}

export function json(value: object): Given {
  return { body: JSON.stringify(value) }
}
