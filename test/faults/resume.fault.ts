/**
 * `publish` and `pull` killed at random points go on where they were: what each kill costs is measured, and is never more
 * than the parts that were on their way. 256 MiB and 6 kills each; 2 GiB and 25 in the long form.
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
  openCountedShop,
  partDigests,
  reference,
} from "./counted-shop.ts"

const isLong = process.env["WEIGHLOCK_FAULTS"] === "all"
const kills = isLong ? 25 : 6
const large = isLong ? 1920 : 224
const small = isLong ? 128 : 32
const total = (large + small) * mib
/** Eight parts of 8 MiB on their way, and what lies in sockets between there and here. */
const mostLost = 64 * mib + 48 * mib

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
  await command.ended
  await new Promise((resolve) => setTimeout(resolve, 200)) // the registry sees that the connections are gone
  return proxy[direction] - before
}

/** Kills again and again, then lets it end. `held`: how many bytes of the model have arrived for good. */
async function hurt(
  shop: CountedShop,
  argv: readonly string[],
  direction: Direction,
  held: () => Promise<number>,
): Promise<string> {
  const lost: number[] = []
  let arrived = await held()
  for (let round = 0; round < kills; round++) {
    const bytes = Math.random() * 2 * (total / kills)
    const passed = await killAfter(shop, shop.start(argv), direction, bytes)
    if (passed === null) break
    const now = await held()
    lost.push(passed - (now - arrived))
    arrived = now
  }
  const before = shop.proxy[direction]
  const { code, stdout, stderr } = await shop.start(argv).ended
  assert.equal(code, 0, stdout + stderr)
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
  const response = await fetch(`${shop.proxy.url}/api/v1/uploads`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ files: [asked] }),
  })
  const { files } = (await response.json()) as { files: { grants?: { part: number }[] }[] }
  return (files[0]?.grants ?? []).length * (parts?.size ?? size) // all are whole here
}

test(
  `publish and pull of ${total / mib} MiB, each killed ${kills} times`,
  { timeout: 60_000 + kills * 60_000 },
  async (t) => {
    const shop = await openCountedShop(t)
    const source = shop.cli.path("model")
    makeModel(source, large, small)
    const files = await hashFolder(source)
    const truth = await partDigests(join(source, "large.bin"))

    const uploaded = async (): Promise<number> => {
      let missing = 0
      for (const file of files) missing += await missingOf(shop, file)
      return total - missing
    }
    t.diagnostic(`publish: ${await hurt(shop, ["publish", "model", "--as", reference], "up", uploaded)}`)

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
    t.diagnostic(`pull: ${await hurt(shop, ["pull", reference, "-o", "out"], "down", cached)}`)

    assert.deepEqual(await hashFolder(shop.cli.path("out")), files)
    assert.deepEqual(readdirSync(shop.cli.path("cache", "partial")), [])
    assert.ok(readFileSync(join(source, "small/0.bin")).equals(readFileSync(shop.cli.path("out", "small/0.bin"))))
  },
)
