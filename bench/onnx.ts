/**
 * ONNX through our API against onnxruntime called directly, in one process, taking turns; and our walk of the file against the
 * time that loading takes.
 *
 *     weighlock engine add onnxruntime
 *     node bench/onnx.ts
 */
import { createRequire } from "node:module"
import { findPackage, onnxruntimePackage } from "@weighlock/runtime/src/engines/installed/packages.ts"
import { openFormat } from "@weighlock/runtime/src/formats/format.ts"
import { loadVerified } from "@weighlock/runtime"
import type { VerifiedFiles } from "@weighlock/client"
import type { Bytes } from "@weighlock/test/support/onnx-file.ts"
import { denseNetwork } from "./dense-network.ts"

interface Session {
  run(feeds: object): Promise<Record<string, { data: Float32Array }>>
  release(): Promise<void>
}
interface Ort {
  Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => object
  InferenceSession: { create(bytes: Uint8Array, options: object): Promise<Session> }
}

const installed = findPackage(onnxruntimePackage)
if (installed === null) throw new Error("weighlock engine add onnxruntime")
const ort = createRequire(installed.main)(installed.main) as Ort

function verified(bytes: Bytes): VerifiedFiles {
  const file = { name: "m", size: bytes.length, digest: "", bytes: bytes.slice() }
  return {
    manifest: { format: "onnx", entrypoint: "m", digest: "" },
    files: new Map([["m", file]]),
  } as unknown as VerifiedFiles
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

async function timed(times: number, ask: () => Promise<unknown>): Promise<number> {
  const found: number[] = []
  for (let at = 0; at < times; at++) {
    const started = performance.now()
    await ask()
    found.push(performance.now() - started)
  }
  return median(found)
}

const cases = [
  { what: "784-128-64-10", widths: [784, 128, 64, 10], batch: 1 },
  { what: "784-128-64-10", widths: [784, 128, 64, 10], batch: 256 },
  { what: "784-4096-4096-10", widths: [784, 4096, 4096, 10], batch: 1 },
  { what: "784-4096-4096-10", widths: [784, 4096, 4096, 10], batch: 256 },
]
for (const { what, widths, batch } of cases) {
  const bytes = denseNetwork(widths)
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["cpu"], logSeverityLevel: 4 })
  const ours = await loadVerified(verified(bytes))
  const rows = Array.from({ length: batch }, (_, at) =>
    Float32Array.from({ length: widths[0]! }, (_x, index) => ((at + index) % 17) / 17),
  )
  const flat = Float32Array.from(rows.flatMap((row) => [...row]))
  const direct = async (): Promise<unknown> => {
    const { y } = await session.run({ x: new ort.Tensor("float32", flat, [batch, widths[0]!]) })
    // As an answer is given: a list for each row.
    return Array.from({ length: batch }, (_, at) => Array.from(y!.data.subarray(10 * at, 10 * at + 10)))
  }
  const through = (): Promise<unknown> => ours.predictBatch(rows)
  await timed(20, direct)
  await timed(20, through)
  const rounds = Array.from({ length: 7 }, () => [] as number[])
  for (const round of rounds)
    round.push(await timed(batch === 1 ? 100 : 20, direct), await timed(batch === 1 ? 100 : 20, through))
  const [a, b] = [median(rounds.map(([one]) => one!)), median(rounds.map(([, two]) => two!))]
  process.stdout.write(
    `${what} batch ${batch}: direct ${a.toFixed(3)} ms, through our API ${b.toFixed(3)} ms, ratio ${median(rounds.map(([one, two]) => one! / two!)).toFixed(2)}, added ${(1000 * (b - a)).toFixed(0)} µs\n`,
  )
  await session.release()
  await ours.dispose()
}

const large = denseNetwork([784, 4096, 4096, 2048, 10])
const walks = await timed(21, async () => openFormat("onnx", "m", new Map([["m", large]])))
const loads = await timed(7, async () =>
  (await ort.InferenceSession.create(large, { executionProviders: ["cpu"], logSeverityLevel: 4 })).release(),
)
process.stdout.write(
  `walk of ${(large.length / 1e6).toFixed(0)} MB: ${walks.toFixed(2)} ms; loading it ${loads.toFixed(0)} ms; share ${((100 * walks) / loads).toFixed(2)} %\n`,
)
process.exit(0)
