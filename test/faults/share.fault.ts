/**
 * 16 processes that want the same model at once, with nothing cached, fetch it once between them; also while some are killed
 * or stopped: then what comes again is what was on its way. 128 MiB; 512 MiB in the long form.
 */
import assert from "node:assert/strict"
import { readdirSync, readlinkSync, statSync } from "node:fs"
import { test, type TestContext } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"

import { hashFolder } from "@weighlock/manifest/node"
import { type Command, type CountedShop, makeModel, mib, openCountedShop, reference } from "./counted-shop.ts"

const processes = 16
const isLong = process.env["WEIGHLOCK_FAULTS"] === "all"
const large = isLong ? 480 : 112
const small = isLong ? 32 : 16
const total = (large + small) * mib
/** Bundles, proofs and headers, for each process. */
const talk = processes * 0.25 * mib
const onTheWay = 64 * mib
const skip = process.platform !== "linux" && "not checked: /proc is needed to see who downloads"

async function stock(t: TestContext): Promise<CountedShop> {
  const shop = await openCountedShop(t)
  makeModel(shop.cli.path("model"), large, small)
  const { code, stdout } = await shop.start(["publish", "model", "--as", reference]).ended
  assert.equal(code, 0, stdout)
  shop.proxy.down = 0
  return shop
}

const pull = (shop: CountedShop, to: string): Command =>
  shop.start(["pull", reference, "-o", to], { WEIGHLOCK_HOME: shop.cli.path(`home-${to}`) })

/** All of them must succeed and have the same bytes. */
async function judge(
  t: TestContext,
  shop: CountedShop,
  pulls: readonly (readonly [string, Command])[],
): Promise<number> {
  const truth = await hashFolder(shop.cli.path("model"))
  for (const [to, { ended }] of pulls) {
    const { code, stdout, stderr } = await ended
    assert.equal(code, 0, `${to}: ${stdout}${stderr}`)
  }
  for (const [to] of pulls) assert.deepEqual(await hashFolder(shop.cli.path(to)), truth)
  assert.deepEqual(readdirSync(shop.cli.path("cache", "partial")), [])
  const copies = shop.proxy.down / total
  t.diagnostic(
    `the registry sent ${Math.round(shop.proxy.down / mib)} MiB for a model of ${total / mib}: ${copies.toFixed(2)} copies`,
  )
  return shop.proxy.down
}

test(`${processes} processes at once: one copy`, { timeout: 300_000 }, async (t) => {
  const shop = await stock(t)
  const pulls = Array.from({ length: processes }, (_, i) => [`out-${i}`, pull(shop, `out-${i}`)] as const)
  const sent = await judge(t, shop, pulls)
  assert.ok(sent <= total + talk, "more than one copy")
})

for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
  test(`${processes} processes at once, ${signal} for four who download`, { skip, timeout: 300_000 }, async (t) => {
    const shop = await stock(t)
    const pulls = Array.from({ length: processes }, (_, i) => [`out-${i}`, pull(shop, `out-${i}`)] as const)
    const struck = await strikeOwners(shop, pulls, signal)
    assert.ok(struck.size > 0, "nobody was struck")
    const rest = pulls.filter(([to]) => !struck.has(to))
    for (const [, { ended }] of rest) assert.equal((await ended).code, 0)
    if (signal === "SIGSTOP") for (const { child } of struck.values()) child.kill("SIGCONT")
    else await Promise.all([...struck.values()].map(({ ended }) => ended))
    const again = [...struck].map(([to, command]) => [to, signal === "SIGSTOP" ? command : pull(shop, to)] as const)
    const sent = await judge(t, shop, [...rest, ...again])
    t.diagnostic(`${struck.size} were struck`)
    assert.ok(sent <= total + talk + struck.size * onTheWay, "more came again than was on its way")
  })
}

test(
  "a registry that falls silent holds nobody for long",
  { skip: !isLong && "only in the long form: --all", timeout: 300_000 },
  async (t) => {
    const shop = await stock(t)
    const pulls = Array.from({ length: processes }, (_, i) => pull(shop, `out-${i}`))
    while (shop.proxy.down < total / 3) await sleep(5)
    shop.proxy.isSilent = true
    const start = performance.now()
    for (const { ended } of pulls) {
      const { code, stdout } = await ended
      assert.equal(code, 6, stdout)
      assert.match(stdout, /"UNAVAILABLE"/)
    }
    const seconds = Math.round((performance.now() - start) / 1000)
    t.diagnostic(`all had given up after ${seconds} s`)
    assert.ok(seconds < 180)
  },
)

/** One after the other, each when the next fifth of the model has passed: whoever is downloading the large file then. */
async function strikeOwners(
  shop: CountedShop,
  pulls: readonly (readonly [string, Command])[],
  signal: NodeJS.Signals,
): Promise<Map<string, Command>> {
  const struck = new Map<string, Command>()
  for (const fifth of [1, 2, 3, 4]) {
    while (shop.proxy.down < (fifth / 5) * total) await sleep(5)
    for (let i = 0; i < 1600 && struck.size < fifth; i++, await sleep(5)) {
      const owner = pulls.find(([to, { child }]) => !struck.has(to) && holdsLarge(child.pid))
      if (owner === undefined) continue
      owner[1].child.kill(signal)
      struck.set(...owner)
    }
  }
  return struck
}

/** Whether that process has the large file's download open. */
function holdsLarge(pid: number | undefined): boolean {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).some((fd) => {
      const path = `${folder}/${fd}`
      return readlinkSync(path).includes("/cache/partial/") && statSync(path).size === large * mib
    })
  } catch {
    return false // it has ended
  }
}
