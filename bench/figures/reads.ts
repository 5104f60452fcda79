/** Bundles of published versions, read over HTTP: our registry, docker-registry's manifests, and bare node:http. */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

import { type Published, publishOverHttp } from "../log/publish.ts"
import { makeWorld, modelOf } from "../log/world.ts"
import { type Bench, commandFor } from "./bench-context.ts"
import { DockerRegistry, noDockerRegistry } from "./docker-registry.ts"
import { barsOf, type Figure, median, ratioGoal, short } from "./figure.ts"
import { ask, drive } from "./load.ts"
import { alternate, type Contender, end } from "./runs.ts"

const versions = 1000
const inFlight = 32
const [ours, byTag, byDigest, bare] = [
  "weighlock registry, bundle by version",
  "docker-registry, manifest by tag",
  "docker-registry, manifest by digest",
  "node:http, the same bytes",
]

export async function* measureReads(bench: Bench): AsyncGenerator<Figure> {
  const folder = join(bench.folder, "reads")
  mkdirSync(folder)
  const absent = noDockerRegistry()
  const published = await publishOverHttp(folder, await makeWorld(folder), { publishes: versions, inFlight, warmUp: 0 })
  const docker = absent === null ? await filled(join(folder, "docker")) : null
  const server = await startBare(join(folder, "bundle.json"), published.bundles[0] ?? Buffer.alloc(0))
  const close = async (): Promise<void> => {
    pending.done()
    await published.stop()
    await docker?.stop()
    await end(server.child)
  }
  const pending = bench.cleanUp(close)
  try {
    yield await compare(bench, published, docker, server.url, absent)
  } finally {
    await close()
  }
}

async function compare(
  bench: Bench,
  published: Published,
  docker: DockerRegistry | null,
  bareUrl: string,
  absent: string | null,
): Promise<Figure> {
  const p99s = new Map<string, number[]>()
  const contender = (label: string, url: string, request: (number: number) => Buffer, count: number): Contender => {
    const requests = Array.from({ length: count }, (_, at) => request((at * 7) % versions))
    const run = async (): Promise<number> => {
      const { perSecond, p99 } = await drive(url, requests, inFlight, 200)
      p99s.set(label, [...(p99s.get(label) ?? []), p99])
      return perSecond
    }
    return { label, run }
  }
  const bundle = (at: number): Buffer =>
    ask(published.url, "GET", `/api/v1/models/${modelOf(at)}/versions/0.0.${at}`, {})
  const few = Math.ceil(bench.requests / 4)
  const contenders = [
    contender(ours, published.url, bundle, bench.requests),
    ...(docker === null
      ? []
      : [
          contender(byTag, docker.url, (at) => docker.get(at), few),
          contender(byDigest, docker.url, (at) => docker.getByDigest(at), few),
        ]),
    contender(bare, bareUrl, () => ask(bareUrl, "GET", "/", {}), bench.requests),
  ]
  const results = await alternate(contenders, bench.rounds)
  const details = new Map([...p99s].map(([label, values]) => [label, `p99 ${short(median(values))} ms`]))
  const goal = ratioGoal(results, "more", { ours, against: byTag, atLeast: 10, text: `≥ 10 × ${byTag}` })
  const bundleSize = published.bundles[0]?.length ?? 0
  return {
    name: "reads",
    title: "Bundle reads over HTTP",
    unit: "/s",
    better: "more",
    bars: barsOf(results, [ours], details),
    goals: goal === null ? [] : [goal],
    notes: [
      `The client is on the same cores. A bundle (${bundleSize} bytes) carries signature, entry and proof; a manifest there has about 1,000 bytes and neither.`,
      ...(absent === null ? [] : [absent]),
    ],
    command: commandFor("reads"),
    setting: `${versions.toLocaleString("en")} versions of 100 models, ${inFlight} in flight, ${bench.requests.toLocaleString("en")} requests a run (${few.toLocaleString("en")} for docker-registry)`,
  }
}

async function filled(folder: string): Promise<DockerRegistry> {
  const docker = await DockerRegistry.start(folder)
  const puts = Array.from({ length: versions }, (_, at) => docker.put(at))
  await drive(docker.url, puts, inFlight, 201)
  return docker
}

async function startBare(file: string, body: Buffer): Promise<{ url: string; child: ChildProcess }> {
  writeFileSync(file, body)
  const script = fileURLToPath(new URL("bare-http-child.ts", import.meta.url))
  const child = spawn(process.execPath, [script, file], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = (await once(child.stdout, "data")) as [Buffer]
  return { url: line.toString().trim(), child }
}
