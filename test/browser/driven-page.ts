/** A page in headless Chromium, driven from here over its DevTools protocol: evaluated, drawn on, photographed. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { flags } from "./chromium.ts"

type Json = Record<string, unknown>
type Point = readonly [x: number, y: number]

export interface DrivenPage {
  /** What the expression's promise resolves with. */
  evaluate(expression: string): Promise<unknown>
  /** Presses at the first point, moves along, lifts at the last; in CSS pixels of the window. */
  draw(points: readonly Point[]): Promise<void>
  /** PNG. */
  photograph(): Promise<Buffer>
  close(): Promise<void>
}

/** Throws when the browser does not start. */
export async function openPage(
  chromium: string,
  url: string,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<DrivenPage> {
  const profile = await mkdtemp(join(tmpdir(), "weighlock-chromium-"))
  const argv = [...flags, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"]
  const browser = spawn(chromium, argv, { stdio: ["ignore", "ignore", "pipe"], detached: true })
  const gone = once(browser, "exit")
  const close = async (): Promise<void> => {
    // Its helpers are in the process group that it leads.
    if (browser.exitCode === null && browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL")
    await gone
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
  try {
    const send = await connect(await addressOf(browser.stderr))
    const { targetId } = await send("Target.createTarget", { url: "about:blank" })
    const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true })
    const page = (method: string, params: Json = {}): Promise<Json> => send(method, params, String(sessionId))
    await page("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 2, mobile: width < 600 })
    await page("Page.enable")
    await page("Page.navigate", { url })
    const evaluate = async (expression: string): Promise<unknown> => {
      const params = { expression, awaitPromise: true, returnByValue: true }
      const { result, exceptionDetails } = await page("Runtime.evaluate", params)
      if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
      return (result as Json)["value"]
    }
    await until(
      async () =>
        (await evaluate("document.readyState")) === "complete" && (await evaluate("location.href")) !== "about:blank",
    )
    const mouse = (type: string, [x, y]: Point): Promise<Json> =>
      page("Input.dispatchMouseEvent", {
        type,
        x,
        y,
        button: "left",
        buttons: type === "mouseReleased" ? 0 : 1,
        clickCount: 1,
      })
    return {
      evaluate,
      async draw(points) {
        const [first] = points
        const last = points.at(-1)
        if (first === undefined || last === undefined) return
        await mouse("mousePressed", first)
        for (const point of points.slice(1)) await mouse("mouseMoved", point)
        await mouse("mouseReleased", last)
      },
      async photograph() {
        const { data } = await page("Page.captureScreenshot", { format: "png" })
        return Buffer.from(String(data), "base64")
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Asks until it is so. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50))
}

async function addressOf(stderr: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: stderr })) {
    const address = /DevTools listening on (ws:\S+)/.exec(line)?.[1]
    if (address === undefined) continue
    stderr.resume() // nobody reads what else it says
    return address
  }
  throw new Error("chromium ended before it listened")
}

type Send = (method: string, params?: Json, sessionId?: string) => Promise<Json>

async function connect(address: string): Promise<Send> {
  const socket = new WebSocket(address)
  const waiting = new Map<number, { resolve: (result: Json) => void; reject: (error: Error) => void }>()
  socket.addEventListener("message", ({ data }) => {
    const { id, result, error } = JSON.parse(String(data)) as { id?: number; result?: Json; error?: unknown }
    const asked = id === undefined ? undefined : waiting.get(id)
    if (asked === undefined || id === undefined) return
    waiting.delete(id)
    if (error === undefined) asked.resolve(result ?? {})
    else asked.reject(new Error(JSON.stringify(error)))
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve)
    socket.addEventListener("error", () => reject(new Error("chromium does not answer")))
  })
  let count = 0
  return (method, params = {}, sessionId) =>
    new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject })
      socket.send(JSON.stringify({ id: count, method, params, ...(sessionId && { sessionId }) }))
    })
}
