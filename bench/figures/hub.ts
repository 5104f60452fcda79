/**
 * As much of a Hugging Face hub as `huggingface_hub.snapshot_download` asks for: what a model consists of, and for each file
 * a redirect to where its bytes are, as the real one sends its clients to a CDN.
 */
import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"

import { programAt } from "./bench-context.ts"
import { timed } from "./runs.ts"
import type { Blob } from "./shop.ts"

const revision = "0123456789abcdef0123456789abcdef01234567"
const python = (): string | null => process.env["HUB_PYTHON"] ?? programAt("python3")

/** Its version, or null. */
export function hubVersion(): string | null {
  const command = python()
  if (command === null) return null
  const script = "import huggingface_hub; print(huggingface_hub.__version__)"
  const { status, stdout } = spawnSync(command, ["-c", script], { encoding: "utf8" })
  return status === 0 ? stdout.trim() : null
}

export interface Hub {
  /** Seconds to download all files into `target`, Python's start included. */
  download(target: string): Promise<number>
  stop(): Promise<void>
}

export async function startHub(blobs: readonly Blob[]): Promise<Hub> {
  const server = createServer((asked, answer) => reply(blobs, asked, answer)).listen(0, "127.0.0.1")
  await once(server, "listening")
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    download: async (target) => {
      const script = `from huggingface_hub import snapshot_download; snapshot_download("acme/big", local_dir=${JSON.stringify(join(target, "files"))})`
      const env = {
        ...process.env,
        HF_ENDPOINT: endpoint,
        HF_HOME: join(target, "home"),
        HF_HUB_DISABLE_TELEMETRY: "1",
        HF_HUB_DISABLE_PROGRESS_BARS: "1",
        HF_HUB_DISABLE_XET: "1",
      }
      return (await timed(python() ?? "python3", ["-c", script], { env })).seconds
    },
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    },
  }
}

function reply(blobs: readonly Blob[], asked: IncomingMessage, answer: ServerResponse): void {
  const { pathname } = new URL(asked.url ?? "/", "http://hub")
  if (pathname.startsWith("/api/models/acme/big/tree/")) return json(answer, blobs.map(treeEntry))
  if (pathname.startsWith("/api/models/acme/big")) {
    const siblings = blobs.map(({ name }) => ({ rfilename: name }))
    return json(answer, {
      _id: "1",
      id: "acme/big",
      modelId: "acme/big",
      sha: revision,
      private: false,
      tags: [],
      downloads: 0,
      likes: 0,
      siblings,
    })
  }
  const name = /^\/acme\/big\/resolve\/[^/]+\/(.+)$/.exec(pathname)?.[1]
  const blob = blobs.find((candidate) => candidate.name === name)
  if (blob === undefined) return void answer.writeHead(404).end()
  const headers = { "x-repo-commit": revision, "x-linked-etag": `"${blob.digest}"`, "x-linked-size": blob.size }
  answer.writeHead(302, { ...headers, location: blob.url, "content-length": 0 }).end()
}

function treeEntry({ name, size, digest }: Blob): object {
  return { type: "file", oid: digest.slice(0, 40), size, path: name, lfs: { oid: digest, size, pointerSize: 130 } }
}

function json(answer: ServerResponse, value: unknown): void {
  answer.writeHead(200, { "content-type": "application/json", "x-repo-commit": revision }).end(JSON.stringify(value))
}
