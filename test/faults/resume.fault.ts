/**
 * `publish` and `pull` killed at random points go on where they were: what each kill costs is measured, and is never more
 * than the parts that were on their way. From and to a registry, 256 MiB and 6 kills each, and a bucket of a Ceph RGW, 256 MiB
 * and 2; in the long form 2 GiB and 25 for both.
 */
import assert from "node:assert/strict"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"

import { encodeBase64, type Resource } from "@weighlock/manifest"
import { hashFolder } from "@weighlock/manifest/node"
import {
  type Command,
  type CountedShop,
  goodBytes,
  makeModel,
  mib,
  missing,
  openCountedShop,
  partDigests,
  type Place,
  reference,
} from "./counted-shop.ts"

const isLong = process.env["WEIGHLOCK_FAULTS"] === "all"
interface Plan {
  readonly place: Place
  readonly kills: number
  /** MiB, in one file and in files of one. */
  readonly large: number
  readonly small: number
}
const sizes = { kills: 25, large: 1920, small: 128 }
const plans: readonly Plan[] = [
  { place: "folder", ...(isLong ? sizes : { kills: 6, large: 224, small: 32 }) },
  { place: "bucket", ...(isLong ? sizes : { kills: 2, large: 224, small: 32 }) },
]
/** Eight parts of 8 MiB on their way, and what lies in sockets between there and here. */
const mostLost = 64 * mib + 48 * mib
/** So late that losing everything would show. */
const lateEnough = mostLost + 16 * mib

type Direction = "up" | "down"

/** Runs until so many more bytes have passed, then kills. Answers how many did; `null` when it ended by itself before. */
async function killAfter(
  shop: CountedShop,
  command: Command,
  direction: Direction,
  bytes: number,
): Promise<number | null> {
  const { proxy } = shop
  const before = proxy[direction]
  const enough = new Promise<"enough">((resolve) => {
    proxy.onBytes = () => proxy[direction] - before >= bytes && resolve("enough")
  })
  const first = await Promise.race([enough, command.ended])
  proxy.onBytes = () => undefined
  if (first !== "enough") {
    assert.equal(first.code, 0, first.stdout + first.stderr)
    return null
  }
  command.child.kill("SIGKILL")
  if ((await command.ended).code === 0) return null
  await new Promise((resolve) => setTimeout(resolve, 200)) // the registry sees that the connections are gone
  return proxy[direction] - before
}

/** Kills again and again, then lets it end. `held`: how many bytes of the model have arrived for good. */
async function hurt(
  shop: CountedShop,
  { kills, total }: { readonly kills: number; readonly total: number },
  argv: readonly string[],
  direction: Direction,
  held: () => Promise<number>,
): Promise<string> {
  const lost: number[] = []
  let arrived = await held()
  let before = 0
  for (let round = 0; ; round++) {
    before = shop.proxy[direction]
    const bytes =
      round === 0
        ? lateEnough + Math.random() * 64 * mib
        : Math.random() * Math.min(2 * (total / kills), total - arrived)
    const passed = await killAfter(shop, shop.start(argv), direction, round < kills ? bytes : Number.POSITIVE_INFINITY)
    if (passed === null) break
    const now = await held()
    lost.push(passed - (now - arrived))
    arrived = now
  }
  const rest = shop.proxy[direction] - before
  assert.ok(Math.max(...lost) <= mostLost, `${Math.max(...lost)} bytes were lost by one kill`)
  assert.ok(rest <= total - arrived + 4 * mib, `${arrived} bytes were there, and ${rest} came in the last run`)
  const inMib = (bytes: number): number => Math.round(bytes / mib)
  return `${lost.length} kills; lost by each ${lost.map(inMib).join(" ")} MiB; the last run moved ${inMib(rest)} of ${inMib(total)} MiB`
}

/** Bytes of a file that the registry still asks for. */
async function missingOf(shop: CountedShop, { digest, size, parts }: Resource): Promise<number> {
  const digests = parts && encodeBase64(Buffer.from(parts.digests.join(""), "hex"))
  const asked = { sha256: digest, size, ...(parts && { parts: { size: parts.size, digests } }) }
  const response = await fetch(`${shop.url}/api/v1/uploads`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ files: [asked] }),
  })
  const { files } = (await response.json()) as { files: { grants?: { part: number }[] }[] }
  return (files[0]?.grants ?? []).length * (parts?.size ?? size) // all are whole here
}

for (const { place, kills, large, small } of plans) {
  const total = (large + small) * mib
  const name = `a ${place}: publish and pull of ${total / mib} MiB, each killed ${kills} times`
  test(name, { skip: missing(place), timeout: 60_000 + kills * 60_000 }, async (t) => {
    const shop = await openCountedShop(t, place)
    const source = shop.cli.path("model")
    makeModel(source, large, small)
    const files = await hashFolder(source)
    const truth = await partDigests(join(source, "large.bin"))

    const uploaded = async (): Promise<number> => {
      let missing = 0
      for (const file of files) missing += await missingOf(shop, file)
      return total - missing
    }
    t.diagnostic(
      `publish: ${await hurt(shop, { kills, total }, ["publish", "model", "--as", reference], "up", uploaded)}`,
    )

    const cached = async (): Promise<number> => {
      const folder = shop.cli.path("cache")
      if (!existsSync(folder)) return 0
      const { digest = "" } = files.find(({ name }) => name === "large.bin") ?? {}
      const under = readdirSync(join(folder, "partial")).filter((name) => name.startsWith(digest))
      const part = under[0] === undefined ? 0 : await goodBytes(join(folder, "partial", under[0]), truth)
      const entries = readdirSync(join(folder, "blobs"), { recursive: true, encoding: "utf8" })
      const whole = entries.map((name) => statSync(join(folder, "blobs", name))).filter((found) => found.isFile())
      return whole.reduce((sum, { size }) => sum + size, part)
    }
    t.diagnostic(`pull: ${await hurt(shop, { kills, total }, ["pull", reference, "-o", "out"], "down", cached)}`)

    assert.deepEqual(await hashFolder(shop.cli.path("out")), files)
    assert.deepEqual(readdirSync(shop.cli.path("cache", "partial")), [])
    assert.ok(readFileSync(join(source, "small/0.bin")).equals(readFileSync(shop.cli.path("out", "small/0.bin"))))
  })
}
