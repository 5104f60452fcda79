/** Each row of docs/errors.md as a real HTTP answer: what a client raises, and how the command line ends, is what the page says. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { after, suite, test } from "node:test"
import { listModels } from "@weighlock/client"
import { Cli } from "../support/cli.ts"
import { type CodeSection, codesOnThePage } from "../support/error-page.ts"
import { ed25519Signer, makeChain } from "../support/trust.ts"
import { sample } from "../support/thorough.ts"

const page = codesOnThePage()
const exitOf = (code: string): number => page.find((row) => row.code === code)?.exit ?? -1
const cli = new Cli()
after(() => cli.close())
const chain = await makeChain([ed25519Signer()])
const [trust = new Uint8Array()] = chain.envelopes
writeFileSync(cli.path("trust.json"), trust)

/** The path of what is asked says the answer: /STATUS/CODE/api/v1/models. */
const server = createServer((request, response) => {
  const [, status = "", code = ""] = (request.url ?? "").split("/")
  const body = JSON.stringify({
    type: `urn:weighlock:error:${code}`,
    status: Number(status),
    code: decodeURIComponent(code),
  })
  response.writeHead(Number(status), { "content-type": "application/problem+json" }).end(body)
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
after(() => {
  server.closeAllConnections()
  server.close()
})
const { port } = server.address() as AddressInfo
const registryThatSays = (status: number, code: string): string =>
  `http://127.0.0.1:${port}/${status}/${encodeURIComponent(code)}/`

interface Raised {
  readonly code: string
  readonly message: string
  readonly exit: number
}

async function raised(status: number, code: string): Promise<Raised> {
  const registry = registryThatSays(status, code)
  const [{ exit, code: printed }, error] = await Promise.all([
    cli.refusal("list", "--registry", registry, "--trust", cli.path("trust.json")),
    listModels({ registry, trust: cli.path("trust.json"), state: cli.path("home"), cache: cli.path("cache") }).then(
      () => assert.fail("an answer that is no success was taken for one"),
      (thrown: unknown) => thrown as { code: string; message: string },
    ),
  ])
  assert.equal(printed, error.code, "the command line names the code that the client raised")
  return { code: error.code, message: error.message, exit }
}

const answers = page.filter((row): row is CodeSection & { http: number; raised: string } => row.http !== null)
const conclusions = page.filter(({ http }) => http === null)

suite("a registry's refusal", { concurrency: true }, () => {
  for (const { code, http, raised: expected } of sample(answers, 2)) {
    test(`${http} ${code} is ${expected}, exit ${exitOf(expected)}`, async () => {
      const found = await raised(http, code)
      assert.deepEqual([found.code, found.exit], [expected, exitOf(expected)])
      assert.equal(found.message.includes(`the registry says ${code}`), code !== expected, found.message)
    })
  }
  for (const { code } of conclusions) {
    test(`422 ${code} is PROTOCOL: it is no answer`, async () => {
      const found = await raised(422, code)
      assert.deepEqual([found.code, found.exit], ["PROTOCOL", 6])
      assert.equal(found.message.includes(`the registry says ${code}`), code !== found.code, found.message)
    })
  }
  // A code counts only with its own status.
  for (const { code, http } of sample(answers, 3)) {
    const other = http === 418 ? 422 : 418
    test(`${other} ${code} is PROTOCOL: its status is ${http}`, async () => {
      assert.equal((await raised(other, code)).code, "PROTOCOL")
    })
  }
  for (const [status, expected] of [
    [401, "UNAUTHENTICATED"],
    [403, "FORBIDDEN"],
    [404, "NOT_FOUND"],
    [408, "UNAVAILABLE"],
    [409, "CONFLICT"],
    [413, "TOO_LARGE"],
    [429, "UNAVAILABLE"],
    [431, "USAGE"],
    [400, "PROTOCOL"],
    [422, "PROTOCOL"],
    [500, "UNAVAILABLE"],
    [503, "UNAVAILABLE"],
    [599, "UNAVAILABLE"],
  ] as const) {
    test(`${status} with a code that nobody knows is ${expected}`, async () => {
      const found = await raised(status, "BREWING")
      assert.deepEqual([found.code, found.exit], [expected, exitOf(expected)])
      assert.match(found.message, /the registry says "BREWING"/)
    })
  }
  for (const strange of ["__proto__", "constructor", "not_found", "\u001b[31mred\u202e", "A".repeat(10_000)]) {
    test(`the code ${JSON.stringify(strange.slice(0, 20))} is quoted, short and without what moves a terminal`, async () => {
      const found = await raised(422, strange)
      assert.equal(found.code, "PROTOCOL")
      assert.doesNotMatch(found.message, /[\p{Cc}\p{Cf}]/u)
      assert.ok(found.message.length < 250, found.message)
    })
  }
})
