/** Publishes that are on disk when they are answered, 128 in flight: our registry, and manifests put into docker-registry. */
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"

import { publishOverHttp } from "../log/publish.ts"
import { makeWorld } from "../log/world.ts"
import { type Bench, commandFor } from "./bench-context.ts"
import { DockerRegistry, noDockerRegistry, syncsOfOnePut } from "./docker-registry.ts"
import { barsOf, type Figure, type Goal, median, ratioGoal, short } from "./figure.ts"
import { drive, type Load } from "./load.ts"
import { alternate } from "./runs.ts"

const inFlight = 128
const [ours, theirs] = ["weighlock registry, publish", "docker-registry, manifest put"]

export async function* measurePublishes(bench: Bench): AsyncGenerator<Figure> {
  const folder = join(bench.folder, "publishes")
  mkdirSync(folder)
  const absent = noDockerRegistry()
  const loads = new Map<string, Load[]>()
  const few = Math.ceil(bench.requests / 8)
  const counted = (label: string, run: (folder: string) => Promise<Load>) => ({
    label,
    run: async (): Promise<number> => {
      const place = join(folder, "run")
      mkdirSync(place)
      const load = await run(place)
      loads.set(label, [...(loads.get(label) ?? []), load])
      rmSync(place, { recursive: true })
      return load.perSecond
    },
  })
  const contenders = [
    counted(ours, (place) => publish(place, bench.requests)),
    ...(absent === null ? [counted(theirs, (place) => put(place, few))] : []),
  ]
  const results = await alternate(contenders, bench.rounds)
  const syncs = absent === null ? await syncsOfOnePut(join(folder, "syncs")) : null
  const details = new Map(
    [...loads].map(([label, all]) => [label, `p99 ${short(median(all.map(({ p99 }) => p99)))} ms`]),
  )
  const rate = median(results.get(ours) ?? [])
  const absolute: Goal = { text: "≥ 1,000/s", found: `${short(rate)}/s`, met: rate >= 1000, at: 1000 }
  const ratio = ratioGoal(results, "more", { ours, against: theirs, atLeast: 4, text: `≥ 4 × ${theirs}` })
  yield {
    name: "publishes",
    title: "Durable publishes over HTTP",
    unit: "/s",
    better: "more",
    bars: barsOf(results, [ours], details),
    goals: ratio === null ? [absolute] : [ratio, absolute],
    notes: [
      "The client is on the same cores. Ours: the signature checked, rules, entry, tree, checkpoint and rows in one commit that is synced, answered with the proof.",
      ...(absent === null ? [] : [absent]),
      ...(syncs === null ? [] : [saySyncs(syncs)]),
    ],
    command: commandFor("publishes"),
    setting: `new versions of 100 models, ${inFlight} in flight, ${bench.requests.toLocaleString("en")} a run (${few.toLocaleString("en")} for docker-registry), each run with an empty registry`,
  }
}

function saySyncs({ files, folders }: { files: number; folders: number }): string {
  if (files + folders === 0)
    return "docker-registry syncs nothing (strace): what it has answered can be lost in a power cut."
  return `docker-registry syncs ${short(files)} files and ${folders === 0 ? "no folder" : `${short(folders)} folders`} a manifest (strace)${folders === 0 ? ": the names of those files can be lost in a power cut" : ""}.`
}

async function publish(folder: string, publishes: number): Promise<Load> {
  const warmUp = Math.ceil(publishes / 4)
  const run = await publishOverHttp(folder, await makeWorld(folder), { publishes, inFlight, warmUp })
  await run.stop()
  return run
}

async function put(folder: string, count: number): Promise<Load> {
  const docker = await DockerRegistry.start(folder)
  const warmUp = Math.ceil(count / 4)
  const puts = Array.from({ length: warmUp + count }, (_, at) => docker.put(at))
  await drive(docker.url, puts.splice(0, warmUp), inFlight, 201)
  const load = await drive(docker.url, puts, inFlight, 201)
  await docker.stop()
  return load
}
