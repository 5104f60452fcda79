/** So many requests in flight, each connection asking again when it has its answer: requests a second, and p99. */
import { type Answer, Connection } from "../log/connection.ts"

export interface Load {
  readonly perSecond: number
  /** ms */
  readonly p50: number
  readonly p99: number
}

/** The bytes of one request. */
export function ask(url: string, method: string, path: string, headers: Record<string, string>, body = ""): Buffer {
  const all = {
    host: new URL(url).host,
    ...headers,
    ...(method === "GET" ? {} : { "content-length": String(Buffer.byteLength(body)) }),
  }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`)
}

/** Throws when one is answered with anything but `status`. */
export async function drive(url: string, requests: readonly Buffer[], inFlight: number, status: number): Promise<Load> {
  const connections = await Promise.all(Array.from({ length: inFlight }, () => Connection.open(url)))
  const times: number[] = []
  let next = 0
  const work = async (connection: Connection): Promise<void> => {
    for (let mine = requests[next++]; mine; mine = requests[next++]) {
      const start = performance.now()
      requireStatus(await connection.ask(mine), status)
      times.push(performance.now() - start)
    }
  }
  const start = performance.now()
  await Promise.all(connections.map(work))
  const seconds = (performance.now() - start) / 1000
  for (const connection of connections) connection.close()
  times.sort((a, b) => a - b)
  const at = (share: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { perSecond: times.length / seconds, p50: at(0.5), p99: at(0.99) }
}

function requireStatus(answer: Answer, status: number): void {
  if (answer.status !== status)
    throw new Error(`answered with ${answer.status}: ${answer.body.toString().slice(0, 500)}`)
}
