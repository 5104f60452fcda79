/**
 * Every route that a client reads, answered wrongly in every way of a table: whatever is asked for, the client returns what
 * it verified, or raises a code of docs/errors.md that is no bug of ours, in a bounded number of questions.
 */
import assert from "node:assert/strict"
import { gzipSync } from "node:zlib"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import {
  audit,
  exportLog,
  listModels,
  listVersions,
  logEntry,
  logHead,
  modelHistory,
  monitorOnce,
  publishModel,
  pullModel,
  showModel,
} from "@weighlock/client"
import { errorRow } from "@weighlock/manifest"
import { type Answer, type Exchange, made } from "../support/hostile.ts"
import {
  hostileClient,
  model,
  publishFiles,
  reference,
  sharedShop,
  signFolder,
  smallFiles,
} from "../support/published.ts"
import { every, isThorough } from "../support/thorough.ts"

const shop = await sharedShop(smallFiles())
await publishFiles(shop, { "model.json": Buffer.from("new") }, { version: "1.1.0" })
type Client = Awaited<ReturnType<typeof hostileClient>>

let published = 0
const commands: Readonly<Record<string, (client: Client) => Promise<unknown>>> = {
  list: ({ options }) => listModels(options),
  versions: ({ options }) => listVersions(model, options),
  show: ({ options }) => showModel(reference, options),
  pull: ({ options, folder }) => pullModel(reference, join(folder, "pulled"), options),
  history: ({ options }) => modelHistory(model, options),
  head: ({ options }) => logHead(options),
  entry: ({ options }) => logEntry(2, options),
  export: ({ options, folder }) => exportLog(join(folder, "export"), options),
  audit: ({ options, world }) =>
    audit({ source: { kind: "registry", url: options.registry }, trust: world.trust, state: options.state }),
  monitor: ({ options, world, folder }) =>
    monitorOnce({
      source: { kind: "registry", url: options.registry },
      trust: world.trust,
      cursor: join(folder, "cursor.json"),
      owned: ["acme/*"],
      deliver: () => Promise.resolve(),
    }),
  publish: async ({ options, source, world }) =>
    publishModel(source, await signFolder(source, [world.signer], { version: `2.0.${published++}` }), options),
}

const json = (change: (honest: unknown) => unknown) => (answer: Answer) => {
  let honest: unknown = {}
  try {
    honest = JSON.parse(answer.body.toString())
  } catch {
    return made(200, answer.body.subarray(1)) // a tile, a note or a payload: its first byte is missing
  }
  return made(answer.status, JSON.stringify(change(honest)))
}
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null
/** Each text, number and list of an answer, replaced. */
const each = (by: (value: unknown) => unknown) => {
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return by(value.map(walk))
    if (!isObject(value)) return by(value)
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, walk(member)]))
  }
  return json(walk)
}
const answers: Readonly<Record<string, (answer: Answer) => Answer>> = {
  nothing: () => made(200, ""),
  null: () => made(200, "null"),
  "a list": () => made(200, "[]"),
  "an empty object": () => made(200, "{}"),
  "a text": () => made(200, '"yes"'),
  "a page": () => made(200, "<html>welcome</html>"),
  "nested a thousand deep": () => made(200, "[".repeat(1000)),
  "bytes that are no text": () => made(200, Buffer.from([0xff, 0xfe, 0x00])),
  "a member called __proto__": json((honest) => JSON.parse(`{"__proto__":${JSON.stringify(honest)}}`) as unknown),
  "one member twice": ({ body }) => made(200, body.toString().replace(/^\{("[^"]+":)/, "{$1null,$1")),
  "every text empty": each((value) => (typeof value === "string" ? "" : value)),
  "every text long": each((value) => (typeof value === "string" ? "A".repeat(100_000) : value)),
  "every text a number": each((value) => (typeof value === "string" ? 7 : value)),
  "every number negative": each((value) => (typeof value === "number" ? -1 - value : value)),
  "every number huge": each((value) => (typeof value === "number" ? 2 ** 53 - 1 : value)),
  "every list empty": each((value) => (Array.isArray(value) ? [] : value)),
  "every list a thousand times as long": each((value) =>
    Array.isArray(value) ? Array.from({ length: 1000 }, () => value as unknown[]).flat() : value,
  ),
  "every list one of nulls": each((value) => (Array.isArray(value) ? [null, null] : value)),
  "always a next page": json((honest) => ({ ...(isObject(honest) ? honest : {}), next: "1.0.0" })),
  "half of it": ({ body, ...rest }) => ({ ...rest, body: body.subarray(0, body.length >> 1) }),
  "twice the same": ({ body, ...rest }) => ({ ...rest, body: Buffer.concat([body, body]) }),
  "compressed, unasked": ({ body, headers, ...rest }) => ({
    ...rest,
    headers: { ...headers, "content-encoding": "gzip" },
    body: gzipSync(body),
  }),
  "no content": () => made(204),
  "a piece": ({ body }) => made(206, body),
  "a redirect to here": () => made(302, "", { location: "/api/v1/info" }),
  "a redirect inside": () => made(307, "", { location: "http://10.0.0.1/latest/meta-data" }),
  "a redirect to nowhere": () => made(307, "", { location: "\u0000" }),
  "a code it may not claim": () => made(422, { code: "ROLLBACK", detail: "\u001b[2J" }),
  "a code that is none": () => made(422, { code: ["NOT_FOUND"], detail: { a: 1 } }),
  "not found": () => made(404, { code: "NOT_FOUND" }),
  taken: () => made(409, { code: "VERSION_EXISTS" }),
}

/** Without what differs from run to run. */
function routeOf({ method, path }: Pick<Exchange, "method" | "path">): string {
  const [route = ""] = path.split("?")
  return `${method} ${route.replace(/[0-9a-f]{64}/, "<digest>").replace(/\d+\.\d+\.\d+$/, "<version>")}`
}

/** Routes that a command asks for, in order, each once. */
async function routesOf(t: TestContext, command: (client: Client) => Promise<unknown>): Promise<readonly string[]> {
  const client = await hostileClient(t, shop)
  await command(client)
  return [...new Set(client.proxy.seen.map(routeOf))]
}

async function tryOn(client: Client, command: (client: Client) => Promise<unknown>, route: string): Promise<void> {
  const raised = await command(client).then(
    () => null,
    (error: unknown) => error as Error & { code?: unknown },
  )
  assert.ok(client.proxy.seen.length < 200, `${route}: ${client.proxy.seen.length} questions`)
  if (raised === null) return
  const row = errorRow(String(raised.code))
  assert.ok(row !== null && row.exit !== 1, `${route}: ${raised.stack ?? ""}`)
  assert.doesNotMatch(raised.message, /[\p{Cc}\p{Cf}]/u, route)
  assert.ok(raised.message.length < 2000, route)
}

/** All answers to all routes in the thorough form; here a share of the answers, each to one of the routes, in turn. */
const share = every(8)
for (const [offset, [name, command]] of Object.entries(commands).entries()) {
  const own = Object.entries(answers).filter((_, at) => (at + offset) % share === 0)
  test(`${name}: ${own.map(([why]) => why).join(", ")}`, async (t) => {
    const routes = await routesOf(t, command)
    assert.ok(routes.length > 0)
    for (const [at, [, answer]] of own.entries()) {
      for (const route of isThorough ? routes : [routes[at % routes.length] ?? ""]) {
        const client = await hostileClient(t, shop)
        client.proxy.rule = (exchange) => (routeOf(exchange) === route ? answer(exchange.answer) : null)
        await tryOn(client, command, route)
      }
    }
  })
}

test("an upload answer that leaves out a file, or names one twice or another one, is refused at once", async (t) => {
  const edits: readonly ((files: readonly object[]) => readonly object[])[] = [
    () => [],
    (files) => files.slice(1),
    (files) => [...files, ...files],
    (files) => files.with(0, { sha256: "0".repeat(64), state: "present", grants: [] }),
  ]
  for (const edit of edits) {
    const client = await hostileClient(t, shop)
    client.proxy.rule = ({ path, answer }) =>
      path === "/api/v1/uploads"
        ? made(200, { files: edit((JSON.parse(answer.body.toString()) as { files: object[] }).files) })
        : null
    await assert.rejects(commands["publish"]?.(client) ?? Promise.resolve(), { code: "PROTOCOL" })
    assert.equal(client.proxy.seen.filter(({ path }) => path === "/api/v1/uploads").length, 1)
  }
})
