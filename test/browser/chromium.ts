/** A headless browser that loads one page, and a loopback server that hands it ES modules as they are: no bundler. */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

export function findChromium(): string | null {
  const names = [process.env["CHROMIUM"] ?? "", "chromium", "chromium-browser", "google-chrome", "chrome"]
  const found = names.find((name) => name !== "" && spawnSync(name, ["--version"]).status === 0)
  return found ?? null
}

export interface Site {
  /** Bare module names to URL paths. */
  readonly imports: Readonly<Record<string, string>>
  /** URL folders to folders of .js files. */
  readonly folders: Readonly<Record<string, string>>
  /** URL paths to module texts; `/page.js` is what the page runs. */
  readonly scripts: Readonly<Record<string, string>>
}

/** The JSON that the page POSTs to `/report`. Rejects when it says nothing for ten minutes, as a page that hangs: a machine that is busy takes one. */
export async function runPage(chromium: string, site: Site): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  const server = createServer((request, response) => {
    answer(site, request, response, resolve).catch(reject)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const profile = await mkdtemp(join(tmpdir(), "weighlock-chromium-"))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const browser = spawn(chromium, [...flags, `--user-data-dir=${profile}`, url], { stdio: "ignore", detached: true })
  const gone = once(browser, "exit")
  const timer = setTimeout(() => reject(new Error("the page did not report within ten minutes")), 600_000)
  browser.once("exit", (code) => reject(new Error(`chromium ended with ${code} before the page reported`)))
  try {
    return await promise
  } finally {
    clearTimeout(timer)
    // Its helpers are in the process group that it leads.
    if (browser.exitCode === null && browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL")
    await gone
    server.closeAllConnections()
    server.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

export const flags: readonly string[] = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
]

async function answer(
  site: Site,
  request: IncomingMessage,
  response: ServerResponse,
  onReport: (report: unknown) => void,
): Promise<void> {
  const url = request.url ?? ""
  if (request.method === "POST" && url === "/report") {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    response.writeHead(204).end()
    onReport(JSON.parse(Buffer.concat(chunks).toString()))
    return
  }
  if (url === "/") {
    // No eval, no other origin: the modules need neither.
    const policy = "default-src 'none'; script-src 'self' 'nonce-map'; connect-src 'self'"
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy })
    response.end(htmlOf(site))
    return
  }
  const text = site.scripts[url] ?? (await moduleFile(site, url))
  if (text === null) response.writeHead(404).end()
  else response.writeHead(200, { "content-type": "text/javascript; charset=utf-8" }).end(text)
}

function htmlOf({ imports }: Site): string {
  return `<!doctype html>
<title>verify</title>
<script type="importmap" nonce="map">${JSON.stringify({ imports })}</script>
<script type="module" src="/page.js"></script>
`
}

async function moduleFile({ folders }: Site, url: string): Promise<string | null> {
  const place = Object.keys(folders).find((prefix) => url.startsWith(prefix))
  const path = url.slice(place?.length ?? 0)
  if (place === undefined || !/^(?:[\w-]+\/)*[\w-]+\.js$/.test(path)) return null
  return await readFile(join(folders[place] ?? "", path), "utf8").catch(() => null)
}
