/**
 * `weighlock pull` into an empty folder with an empty cache, next to programs that bring the same files: as fast as the
 * machine goes, and with a server that gives each connection 90 MiB/s.
 */
import { rmSync } from "node:fs"
import { join } from "node:path"

import { type Bench, commandFor, gib } from "./bench-context.ts"
import { barsOf, type Figure, type Goal, median, ratioGoal } from "./figure.ts"
import { hubVersion, startHub } from "./hub.ts"
import { noNginx } from "./nginx.ts"
import { curlOnce, emptied, type Peer, peersOf } from "./peers.ts"
import { alternate, type Contender, type Results } from "./runs.ts"
import { noBucket, openShop, type Shop, type Source } from "./shop.ts"

const ours = "weighlock pull"
const limit = 90
const said: Readonly<Record<Source, string>> = { registry: "from the registry", bucket: "from a bucket (Ceph RGW)" }

export async function* measurePull(bench: Bench): AsyncGenerator<Figure> {
  for (const source of await sources(bench)) {
    const shop = await openShop(bench, { source, files: 16 })
    try {
      yield await comparePull(bench, shop)
    } finally {
      await shop.close()
    }
  }
}

async function sources(bench: Bench): Promise<Source[]> {
  const reason = await noBucket()
  if (reason === false) return ["registry", "bucket"]
  bench.say(`no bucket: ${reason}`)
  return ["registry"]
}

async function comparePull(bench: Bench, shop: Shop): Promise<Figure> {
  const target = join(shop.folder, "target")
  const { peers, notes } = peersOf(shop, target)
  const memory: number[] = []
  const results = await alternate([await pulling(bench, shop, memory), ...peers], bench.rounds)
  const { source, files } = shop.plan
  return {
    name: `pull.${source}`,
    title: `Pull and verify ${said[source]}`,
    unit: "s",
    better: "less",
    bars: barsOf(results, [ours], new Map([[ours, memorySaid(memory)]])),
    goals: [speedGoal(results, peers), memoryGoal(memory)].filter((goal) => goal !== null),
    notes: [
      "Server and client share the cores and the disk. `pull` checks the digest of every part and of every whole file, and is done when all of it is on the disk; the others leave theirs in the page cache unless it says sync.",
      ...notes,
    ],
    command: commandFor("pull"),
    setting: `${gib(bench.moved)} in ${files} files, empty cache`,
  }
}

async function pulling(bench: Bench, { folder, reference, url }: Shop, memory: number[]): Promise<Contender> {
  const weighlock = await bench.weighlock()
  const target = join(folder, "target")
  const run = async (): Promise<number> => {
    rmSync(target, { recursive: true, force: true })
    rmSync(weighlock.cache, { recursive: true, force: true })
    const { seconds, rss } = await weighlock.run("pull", reference, "-o", target, "--registry", url)
    memory.push((rss * 2 ** 20) / 1e6)
    rmSync(weighlock.cache, { recursive: true })
    return seconds
  }
  return { label: ours, run }
}

/** The fastest of those that check nothing, by the median. */
function speedGoal(results: Results, peers: readonly Peer[]): Goal | null {
  const bare = peers.filter((peer) => peer.bare).map(({ label }) => label)
  const [fastest] = bare.toSorted((a, b) => median(results.get(a) ?? []) - median(results.get(b) ?? []))
  if (fastest === undefined) return null
  const text = `≤ 1.1 × the fastest without a check (${fastest})`
  return ratioGoal(results, "less", { ours, against: fastest, atLeast: 1 / 1.1, text })
}

const memorySaid = (memory: readonly number[]): string => `${Math.round(Math.max(...memory))} MB`

function memoryGoal(memory: readonly number[]): Goal {
  return { text: "≤ 200 MB of memory", found: memorySaid(memory), met: Math.max(...memory) <= 200 }
}

export async function* measureSlowPull(bench: Bench): AsyncGenerator<Figure> {
  const reason = noNginx()
  if (reason !== null) {
    bench.say(`not measured: ${reason}`)
    return
  }
  for (const source of await sources(bench)) {
    for (const files of [1, 16]) {
      const shop = await openShop(bench, { source, files, limit })
      try {
        yield await compareSlow(bench, shop)
      } finally {
        await shop.close()
      }
    }
  }
}

async function compareSlow(bench: Bench, shop: Shop): Promise<Figure> {
  const { source, files } = shop.plan
  const target = join(shop.folder, "target")
  const version = hubVersion()
  const hub = version === null ? null : await startHub(shop.blobs)
  const hubLabel = `huggingface_hub ${version}`
  const memory: number[] = []
  try {
    const single = curlOnce(shop, target)
    const contenders = [
      await pulling(bench, shop, memory),
      single,
      ...(hub === null ? [] : [{ label: hubLabel, run: () => hub.download(emptied(target)) }]),
    ]
    const results = await alternate(contenders, Math.min(3, bench.rounds))
    const text = `≥ 4.5 × one stream (${single.label})`
    const goal = ratioGoal(results, "less", { ours, against: single.label, atLeast: 4.5, text })
    return {
      name: `slow.${source}.${files}`,
      title: `Pull and verify ${said[source]}, ${limit} MiB/s a connection, ${files === 1 ? "one file" : `${files} files`}`,
      unit: "s",
      better: "less",
      bars: barsOf(results, [ours], new Map([[ours, memorySaid(memory)]])),
      goals: [...(goal === null ? [] : [goal]), memoryGoal(memory)],
      notes: [
        "nginx with `limit_rate` stands before whatever sends the bytes, on the same cores.",
        hub === null
          ? "huggingface_hub is not installed: left out."
          : "For huggingface_hub a small local server lists the files and redirects to the same bytes; it checks sizes, not digests.",
      ],
      command: commandFor("slow"),
      setting: `${gib(bench.moved)}, empty cache`,
    }
  } finally {
    await hub?.stop()
  }
}
