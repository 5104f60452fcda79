/**
 * 16 processes that want the same model at once, with nothing cached, fetch it once between them; also while some are killed
 * or stopped: then what comes again is what was on its way. From a registry and, in the short form only while some are killed,
 * from a bucket of a Ceph RGW. 128 MiB; 512 MiB in the long form.
 */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readlinkSync, statSync } from "node:fs"
import { test, type TestContext } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"

import { hashFolder } from "@weighlock/manifest/node"
import {
  type Command,
  type CountedShop,
  makeModel,
  mib,
  missing,
  openCountedShop,
  type Place,
  reference,
} from "./counted-shop.ts"

const processes = 16
const isLong = process.env["WEIGHLOCK_FAULTS"] === "all"
const large = isLong ? 480 : 112
const small = isLong ? 32 : 16
const total = (large + small) * mib
/** Bundles, proofs and headers, for each process. */
const talk = processes * 0.25 * mib
const onTheWay = 64 * mib
const skip = process.platform !== "linux" && "not checked: /proc is needed to see who downloads"

async function stock(t: TestContext, place: Place): Promise<CountedShop> {
  const shop = await openCountedShop(t, place)
  makeModel(shop.cli.path("model"), large, small)
  const { code, stdout } = await shop.start(["publish", "model", "--as", reference]).ended
  assert.equal(code, 0, stdout)
  shop.proxy.down = 0
  return shop
}

const pull = (shop: CountedShop, to: string): Command =>
  shop.start(["pull", reference, "-o", to], { WEIGHLOCK_HOME: shop.cli.path(`home-${to}`) })

/** One who was killed on finding out, name in hand, that another had just finished the file: nothing is in it. */
function mayStay({ cli }: CountedShop, name: string): boolean {
  const digest = name.slice(0, 64)
  const entry = cli.path("cache", "blobs", "sha256", digest.slice(0, 2), digest)
  return existsSync(entry) && statSync(cli.path("cache", "partial", name)).blocks === 0
}

/** All of them must succeed and have the same bytes. */
async function judge(
  t: TestContext,
  shop: CountedShop,
  pulls: readonly (readonly [string, Command])[],
  someWereKilled = false,
): Promise<number> {
  const truth = await hashFolder(shop.cli.path("model"))
  for (const [to, { ended }] of pulls) {
    const { code, stdout, stderr } = await ended
    assert.equal(code, 0, `${to}: ${stdout}${stderr}`)
  }
  for (const [to] of pulls) assert.deepEqual(await hashFolder(shop.cli.path(to)), truth)
  const left = readdirSync(shop.cli.path("cache", "partial"))
  if (left.length > 0) t.diagnostic(`left behind: ${left.join(" ")}`)
  assert.deepEqual(
    left.filter((name) => !(someWereKilled && mayStay(shop, name))),
    [],
  )
  const copies = shop.proxy.down / total
  t.diagnostic(
    `it sent ${Math.round(shop.proxy.down / mib)} MiB for a model of ${total / mib}: ${copies.toFixed(2)} copies`,
  )
  return shop.proxy.down
}

const onlyLong = !isLong && "only in the long form: --all"
const places: readonly { readonly place: Place; readonly brief: string | false; readonly strikes: number }[] = [
  { place: "folder", brief: false, strikes: 4 },
  { place: "bucket", brief: onlyLong, strikes: isLong ? 4 : 2 },
]
for (const { place, brief, strikes } of places) {
  const absent = missing(place)

  test(
    `a ${place}, ${processes} processes at once: one copy`,
    { skip: absent || brief, timeout: 300_000 },
    async (t) => {
      const shop = await stock(t, place)
      const pulls = Array.from({ length: processes }, (_, i) => [`out-${i}`, pull(shop, `out-${i}`)] as const)
      const sent = await judge(t, shop, pulls)
      assert.ok(sent <= total + talk, "more than one copy")
    },
  )

  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    const name = `a ${place}, ${processes} processes at once, ${signal} for ${strikes} who download`
    const omitted = skip || absent || (signal === "SIGSTOP" && brief)
    test(name, { skip: omitted, timeout: 300_000 }, async (t) => {
      const shop = await stock(t, place)
      const pulls = Array.from({ length: processes }, (_, i) => [`out-${i}`, pull(shop, `out-${i}`)] as const)
      const struck = await strikeOwners(shop, pulls, signal, strikes)
      assert.ok(struck.size > 0, "nobody was struck")
      const rest = pulls.filter(([to]) => !struck.has(to))
      for (const [, { ended }] of rest) assert.equal((await ended).code, 0)
      if (signal === "SIGSTOP") for (const { child } of struck.values()) child.kill("SIGCONT")
      else await Promise.all([...struck.values()].map(({ ended }) => ended))
      const again = [...struck].map(([to, command]) => [to, signal === "SIGSTOP" ? command : pull(shop, to)] as const)
      const sent = await judge(t, shop, [...rest, ...again], signal === "SIGKILL")
      t.diagnostic(`${struck.size} were struck`)
      assert.ok(sent <= total + talk + struck.size * onTheWay, "more came again than was on its way")
    })
  }

  test(
    `a ${place} that falls silent holds nobody for long`,
    { skip: absent || onlyLong, timeout: 300_000 },
    async (t) => {
      const shop = await stock(t, place)
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
}

/** One after the other, when the next equal share of the model has passed: whoever is downloading the large file then. */
async function strikeOwners(
  shop: CountedShop,
  pulls: readonly (readonly [string, Command])[],
  signal: NodeJS.Signals,
  strikes: number,
): Promise<Map<string, Command>> {
  const struck = new Map<string, Command>()
  for (let strike = 1; strike <= strikes; strike++) {
    while (shop.proxy.down < (strike / (strikes + 1)) * total) await sleep(5)
    for (let i = 0; i < 1600 && struck.size < strike; i++, await sleep(5)) {
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
