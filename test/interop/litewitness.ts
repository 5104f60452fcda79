/**
 * torchwood's litewitness, started for one test. It takes its key from an ssh-agent (ours, `go-tools/agent`) and knows the
 * logs of its SQLite file; its own `witnessctl add-log` would write the two rows that are written here.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { TestContext } from "node:test"

import type { GoTools } from "./go-code.ts"

export interface Litewitness {
  readonly url: string
  readonly vkey: string
  /** From size 0. */
  addLog(vkey: string): void
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address ? address.port : 0
}

/** The first match of `pattern` in what it says. */
function said(child: ChildProcess, pattern: RegExp): Promise<string> {
  let text = ""
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        text += chunk.toString()
        const [, found] = pattern.exec(text) ?? []
        if (found !== undefined) resolve(found)
      })
    }
    child.once("exit", (code) => reject(new Error(`${child.spawnfile} ended with ${code}: ${text}`)))
  })
}

/** `folder` must have a short path: a socket's may have 108 bytes. */
export async function startLitewitness(t: TestContext, tools: GoTools, folder: string): Promise<Litewitness> {
  const [socket, database] = [join(folder, "agent.sock"), join(folder, "witness.db")]
  const agent = spawn(tools.agent, [socket])
  t.after(() => agent.kill())
  const fingerprint = await said(agent, /^(SHA256:\S+)\n/m)
  const listen = `127.0.0.1:${await freePort()}`
  const flags = { db: database, "ssh-agent": socket, key: fingerprint, name: "witness.example/w1", listen }
  const witness = spawn(
    tools.litewitness,
    Object.entries(flags).map(([name, value]) => `-${name}=${value}`),
  )
  t.after(() => witness.kill())
  const vkey = await said(witness, /vkey=(\S+)[^]*msg=listening/)
  const empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" // sha256 of nothing: the empty tree's root
  return {
    url: `http://${listen}`,
    vkey,
    addLog: (log) => {
      const origin = log.split("+")[0] ?? ""
      const db = new DatabaseSync(database)
      db.prepare("INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)").run(origin, empty)
      db.prepare("INSERT INTO key (origin, key) VALUES (?, ?)").run(origin, log)
      db.close()
    },
  }
}
