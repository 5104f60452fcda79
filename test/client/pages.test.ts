/** Listings without end, that lead nowhere or name things twice: a clear refusal after a bounded number of questions. */
import assert from "node:assert/strict"
import { writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { after, suite, test } from "node:test"
import { listModels, listVersions } from "@weighlock/client"
import { Cli } from "../support/cli.ts"
import { codeOf } from "../support/temp.ts"
import { ed25519Signer, makeChain } from "../support/trust.ts"
import { onlyThorough } from "../support/thorough.ts"

const cli = new Cli()
after(() => cli.close())
const [trustBytes = new Uint8Array()] = (await makeChain([ed25519Signer()])).envelopes
const trust = cli.path("trust.json")
writeFileSync(trust, trustBytes)

type Page = Readonly<Record<string, unknown>>
/** What a test's registry answers to the page after `cursor`; `at` counts its questions from 0. */
type Pages = (cursor: string | null, at: number) => Page

const registries = new Map<string, { readonly pages: Pages; asked: number }>()
const server = createServer((request, response) => {
  const url = new URL(request.url ?? "", "http://localhost")
  const registry = registries.get(url.pathname.split("/")[1] ?? "")
  if (registry === undefined) return void response.writeHead(404).end()
  response.end(JSON.stringify(registry.pages(url.searchParams.get("after"), registry.asked++)))
})
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
after(() => {
  server.closeAllConnections()
  server.close()
})

function registryWith(pages: Pages): { readonly url: string; asked: () => number } {
  const name = `registry-${registries.size}`
  const own = { pages, asked: 0 }
  registries.set(name, own)
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}/`, asked: () => own.asked }
}

const optionsFor = (registry: string): Parameters<typeof listModels>[0] => ({
  registry,
  trust,
  state: cli.path("home"),
  cache: cli.path("cache"),
})
const models = (from: number, count: number): object[] =>
  Array.from({ length: count }, (_, at) => ({ model: `acme/m${from + at}`, versions: 1 }))
const versions = (from: number, count: number): object[] =>
  Array.from({ length: count }, (_, at) => ({
    version: `1.0.${from + at}`,
    manifest: "0".repeat(64),
    createdAt: "2026-11-23T12:00:00Z",
  }))

suite("a listing is refused", { concurrency: 4 }, () => {
  test("pages of one new model each, without end: after 4000 of them, by the command line too", async () => {
    const registry = registryWith((_, at) => ({ models: models(at, 1), next: `p${at}` }))
    const { code, stderr } = await cli.run("list", "--registry", registry.url, "--trust", trust)
    assert.equal(code, 6)
    assert.match(stderr, /PROTOCOL: the list of models does not end: it has more than 4000 pages/)
    assert.equal(registry.asked(), 4000)
  })
  test("pages of many models each, without end: after a million models", { skip: onlyThorough }, async () => {
    const registry = registryWith((_, at) => ({ models: models(at * 150_000, 150_000), next: `p${at}` }))
    await assert.rejects(listModels(optionsFor(registry.url)), { code: "PROTOCOL", message: /more than 1000000 items/ })
    assert.equal(registry.asked(), 7)
  })
  test("a version on two pages", async () => {
    const registry = registryWith((_, at) => ({ versions: versions(0, 1), next: `1.0.${at}` }))
    assert.equal(await codeOf(() => listVersions("acme/mnist", optionsFor(registry.url))), "PROTOCOL")
    assert.equal(registry.asked(), 2)
  })
  const nowhere: readonly (readonly [string, number, Pages])[] = [
    ["the same cursor again", 2, (_, at) => ({ models: models(at, 1), next: "p" })],
    ["cursors in a circle", 4, (_, at) => ({ models: models(at, 1), next: `p${at % 3}` })],
    ["an empty page that has a next one", 1, (_, at) => ({ models: [], next: `p${at}` })],
    ["a cursor without end", 1, () => ({ models: models(0, 1), next: "p".repeat(1000) })],
    ["an empty cursor", 1, () => ({ models: models(0, 1), next: "" })],
    ["a cursor that is null", 1, () => ({ models: models(0, 1), next: null })],
    ["a model on two pages", 2, (_, at) => ({ models: models(0, 1), next: `p${at}` })],
    ["a model twice on a page", 1, () => ({ models: [...models(0, 1), ...models(0, 1)] })],
    ["a name that is none", 1, () => ({ models: [{ model: "../../etc", versions: 1 }] })],
    ["a name without end", 1, () => ({ models: [{ model: `acme/${"m".repeat(100_000)}`, versions: 1 }] })],
    ["a count below zero", 1, () => ({ models: [{ model: "acme/m", versions: -1 }] })],
    ["a count that is text", 1, () => ({ models: [{ model: "acme/m", versions: "many" }] })],
    ["no count", 1, () => ({ models: [{ model: "acme/m" }] })],
  ]
  for (const [why, questions, pages] of nowhere) {
    test(`${why}: after ${questions} pages`, async () => {
      const registry = registryWith(pages)
      assert.equal(await codeOf(() => listModels(optionsFor(registry.url))), "PROTOCOL")
      assert.equal(registry.asked(), questions)
    })
  }
})

test("a registry of a hundred thousand models is listed, whatever its pages are called", async () => {
  const size = 100_000
  const registry = registryWith((_, at) => ({
    models: models(at * 1000, 1000),
    ...(at < size / 1000 - 1 && { next: `page-${at}` }),
  }))
  const { code, stdout } = await cli.run("list", "--registry", registry.url, "--trust", trust, "-q")
  assert.equal(code, 0)
  const names = stdout.trimEnd().split("\n")
  assert.equal(names.length, size)
  assert.deepEqual([names[0], names.at(-1)], ["acme/m0", "acme/m99999"])
})
test("the next page is asked for by the cursor of the one before", async () => {
  const cursors: (string | null)[] = []
  const registry = registryWith((cursor, at) => {
    cursors.push(cursor)
    return { versions: versions(at, 1), ...(at < 2 && { next: `1.0.${at}` }) }
  })
  assert.equal((await listVersions("acme/mnist", optionsFor(registry.url))).length, 3)
  assert.deepEqual(cursors, [null, "1.0.0", "1.0.1"])
})
