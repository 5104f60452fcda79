/**
 * A reporter of Node's test runner: the ten files that took longest, and what all took together.
 *
 *     slowest files, 131 in all, 412 s one after the other:
 *        48.3 s  test/client/audit-tamper.test.ts
 */
import { relative } from "node:path"

interface TestEvent {
  readonly type: string
  readonly data: { readonly file?: string; readonly duration_ms?: number }
}

export async function* slowestFiles(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files: { readonly path: string; readonly seconds: number }[] = []
  for await (const { type, data } of events) {
    if (type !== "test:summary" || data.file === undefined || data.duration_ms === undefined) continue
    files.push({ path: relative(process.cwd(), data.file), seconds: data.duration_ms / 1000 })
  }
  const sum = files.reduce((total, { seconds }) => total + seconds, 0)
  yield `slowest files, ${files.length} in all, ${Math.round(sum)} s one after the other:\n`
  for (const { path, seconds } of files.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10))
    yield `${seconds.toFixed(1).padStart(7)} s  ${path}\n`
}
