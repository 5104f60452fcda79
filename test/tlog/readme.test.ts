import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { test } from "node:test"
import { memoryLog, numbered, vkey } from "./memory-log.ts"

const readme = await readFile(new URL("../../packages/tlog/README.md", import.meta.url), "utf8")
const examples = [...readme.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, example = ""]) => example)

async function run(program: string): Promise<string> {
  const args = ["--input-type=module-typescript", "--eval", program]
  const child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] })
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, "exit")])
  assert.equal(status, 0)
  return output
}

test("the README's examples are two, of ten statements each", () => {
  assert.equal(examples.length, 2)
  for (const example of examples) assert(example.split("\n").length <= 14)
})

test("the README's client, against a log", async (t) => {
  const log = await memoryLog(numbered(300))
  const server = createServer((request, response) => {
    const bytes = log.files.get((request.url ?? "").slice("/log/".length))
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes)
  })
  server.listen(0, "127.0.0.1")
  t.after(() => server.close())
  await once(server, "listening")
  const program = examples[0]!
    .replace("https://models.acme.example", `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    .replace(/models\.acme\.example\/log\+[^"]*/, vkey)
  assert.equal(await run(program), "entry 0 of 300, proven: entry 0\n")
})

test("the README's log", async () => {
  assert.equal(await run(examples[1]!), "entry 1 of 3, proven by 2 hashes\n")
})
