/** An engine that is lost comes back, or says that it never will; nobody waits for ever. */
/* oxlint-disable typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { after, beforeEach, test } from "node:test"
import type { VerifiedFiles } from "@weighlock/client"
import { loadVerified, type Model, serveModels, type VerifiedLoadOptions } from "@weighlock/runtime"
import { engineFolder, releaseHung, trouble } from "../support/engine-package.ts"
import { dense, filesOf, save, type SavedModel, tf } from "./support.ts"

const folder = mkdtempSync(join(tmpdir(), "weighlock-restart-"))
process.env["WEIGHLOCK_ENGINES"] = engineFolder(folder)
after(() => rmSync(folder, { recursive: true }))

const saved: SavedModel = await save(dense())
let reloads = 0
beforeEach(() => {
  reloads = 0
})

function reload(): Promise<VerifiedFiles> {
  reloads += 1
  return Promise.resolve(filesOf(saved))
}

function load(options: VerifiedLoadOptions = {}): Promise<Model> {
  return loadVerified(filesOf(saved), { device: "gpu", reload, ...options })
}

const begun = (): number => readFileSync(join(folder, "begun"), "utf8").length / 2

/** Until the model takes questions again. */
async function ready(model: Model): Promise<void> {
  while (model.failure !== null) await new Promise((resolve) => setTimeout(resolve, 20))
}

test("a thread that dies takes its question along; those that wait are asked again", async () => {
  const model = await load()
  const [lost, ...others] = await Promise.allSettled([
    model.predict([trouble.exits, 0]),
    model.predict([1, 2]),
    model.predictBatch([
      [3, 4],
      [5, 6],
    ]),
  ])
  assert.equal(lost.status === "rejected" && (lost.reason as { code: string }).code, "UNAVAILABLE")
  assert.deepEqual(
    others.map(({ status }) => status),
    ["fulfilled", "fulfilled"],
  )
  assert.deepEqual([reloads, model.failure], [1, null])
  await model.dispose()
})

test("while it is loaded again new questions are UNAVAILABLE", async () => {
  const gate = Promise.withResolvers<undefined>()
  const model = await load({ reload: () => gate.promise.then(reload) })
  await assert.rejects(model.predict([trouble.exits, 0]), { code: "UNAVAILABLE" })
  await assert.rejects(model.predict([1, 2]), { code: "UNAVAILABLE", message: /is being loaded again/ })
  assert.equal(model.failure?.code, "UNAVAILABLE")
  gate.resolve(undefined)
  await ready(model)
  assert.ok(await model.predict([1, 2]))
  await model.dispose()
})

test("a question past its time ends the thread, and the next is answered", async () => {
  const model = await load({ predictTimeout: 1_000 })
  await assert.rejects(model.predict([trouble.loops, 0]), { code: "DEADLINE_EXCEEDED" })
  while (reloads === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  await ready(model)
  assert.ok(await model.predict([1, 2]))
  await model.dispose()
})

test("a native call that never returns: ENGINE_STUCK, for good", async () => {
  const model = await load({ predictTimeout: 500 })
  const [asked, waiting] = await Promise.allSettled([model.predict([trouble.hangs, 0]), model.predict([1, 2])])
  for (const outcome of [asked, waiting])
    assert.equal(outcome.status === "rejected" && (outcome.reason as { code: string }).code, "DEADLINE_EXCEEDED")
  assert.equal((await model.failed).code, "ENGINE_STUCK")
  assert.equal(model.failure?.code, "ENGINE_STUCK")
  await assert.rejects(model.predict([1, 2]), { code: "ENGINE_STUCK" })
  assert.equal(reloads, 0)
  await model.dispose()
  await releaseHung(folder)
})

test("without a way to load it again the first loss is the end", async () => {
  const model = await loadVerified(filesOf(saved), { device: "gpu" })
  await assert.rejects(model.predict([trouble.exits, 0]), { code: "UNAVAILABLE" })
  assert.equal((await model.failed).code, "ENGINE_STUCK")
  await model.dispose()
})

const badReloads: Record<string, () => Promise<VerifiedFiles>> = {
  "files that are not to be had": () => Promise.reject(new Error("no disk")),
  "another model": () => {
    const files = filesOf(saved)
    return Promise.resolve({ ...files, manifest: { ...files.manifest, digest: "cd".repeat(32) } })
  },
  "files that do not load": async () => {
    const files = filesOf({ ...saved, weights: new Uint8Array(3) })
    return await Promise.resolve(files)
  },
}
for (const [what, bad] of Object.entries(badReloads)) {
  test(`after ${what}, as often as was allowed, it has failed for good`, async () => {
    let tries = 0
    const model = await load({ maxRestarts: 2, reload: () => ((tries += 1), bad()) })
    const outcome = await Promise.allSettled([model.predict([trouble.exits, 0]), model.predict([1, 2])])
    assert.deepEqual(
      outcome.map((each) => each.status === "rejected" && (each.reason as { code: string }).code),
      ["UNAVAILABLE", "ENGINE_STUCK"],
    )
    assert.equal((await model.failed).code, "ENGINE_STUCK")
    assert.equal(tries, 2)
    await model.dispose()
  })
}

test("one try that fails is followed by another", async () => {
  let tries = 0
  const model = await load({ reload: () => (++tries === 1 ? Promise.reject(new Error("no disk")) : reload()) })
  const [, second] = await Promise.allSettled([model.predict([trouble.exits, 0]), model.predict([1, 2])])
  assert.deepEqual([second.status, tries], ["fulfilled", 2])
  await model.dispose()
})

test("what has not begun when its caller leaves is never computed", async () => {
  const model = await load()
  const before = begun()
  const caller = new AbortController()
  const first = model.predict([trouble.naps, 0])
  const rest = Array.from({ length: 20 }, () => model.predict([1, 2], { signal: caller.signal }))
  caller.abort(new Error("gone"))
  for (const each of rest) await assert.rejects(each, { message: "gone" })
  await first
  assert.ok(await model.predict([1, 2]))
  assert.equal(begun() - before, 2)
  await assert.rejects(model.predict([1, 2], { signal: caller.signal }), { message: "gone" })
  await model.dispose()
})

test("a model that is disposed of while it is loaded again stays so", async () => {
  const gate = Promise.withResolvers<undefined>()
  const model = await load({ reload: () => gate.promise.then(reload) })
  await assert.rejects(model.predict([trouble.exits, 0]), { code: "UNAVAILABLE" })
  await model.dispose()
  gate.resolve(undefined)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await assert.rejects(model.predict([1, 2]), { code: "UNAVAILABLE", message: /disposed/ })
})

test("over HTTP: 504, then 503 with a reason, then answers again", async () => {
  const gate = Promise.withResolvers<undefined>()
  const model = await load({ predictTimeout: 1_000, reload: () => gate.promise.then(reload) })
  const { url, close } = await serveModels([{ name: "m", model }], { port: 0 })
  const ask = (first: number): Promise<Response> =>
    fetch(`${url}/v1/models/m:predict`, { method: "POST", body: `{"instances":[[${first},0]]}` })
  assert.equal((await ask(trouble.loops)).status, 504)
  while (model.failure === null) await new Promise((resolve) => setTimeout(resolve, 5))
  const readiness = await fetch(`${url}/readyz`)
  const { status, why } = (await readiness.json()) as { status: string; why: Record<string, string> }
  assert.deepEqual([readiness.status, status], [503, "loading"])
  assert.match(String(why["m"]), /did not answer within 1000 ms/)
  const refused = await ask(1)
  assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"])
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  gate.resolve(undefined)
  await ready(model)
  assert.deepEqual([(await fetch(`${url}/readyz`)).status, (await ask(1)).status], [200, 200])
  await close()
  await model.dispose()
})

test("over HTTP: a caller who hangs up before the answer has begun is not asked for", async () => {
  const model = await load()
  const { url, close } = await serveModels([{ name: "m", model }], { port: 0 })
  const ask = (first: number, init: RequestInit = {}): Promise<Response> =>
    fetch(`${url}/v1/models/m:predict`, { method: "POST", body: `{"instances":[[${first},0]]}`, ...init })
  const before = begun()
  const hanging = ask(trouble.hangs)
  while (begun() === before) await new Promise((resolve) => setTimeout(resolve, 20))
  const caller = new AbortController()
  const leaving = Array.from({ length: 10 }, () => ask(1, { signal: caller.signal }))
  await new Promise((resolve) => setTimeout(resolve, 200))
  caller.abort()
  await Promise.allSettled(leaving)
  await fetch(`${url}/healthz`)
  await new Promise((resolve) => setTimeout(resolve, 200))
  await releaseHung(folder)
  assert.deepEqual([(await hanging).status, (await ask(1)).status, begun() - before], [200, 200, 2])
  await close()
  await model.dispose()
})

for (const device of ["wasm", "js"]) {
  test(`${device}: a real question of hours is ended at its time, and the next is answered`, async () => {
    // A step of a recurrent layer is a handful of operations, whatever the engine: so many take minutes.
    const recurrent = tf.layers.simpleRNN({ units: 2, inputShape: [null, 1], recurrentInitializer: "glorotNormal" })
    const network = await save(tf.sequential({ layers: [recurrent] }))
    let restarted = false
    const again = (): Promise<VerifiedFiles> => {
      restarted = true
      return Promise.resolve(filesOf(network))
    }
    const model = await loadVerified(filesOf(network), { device, predictTimeout: 2_000, reload: again })
    const steps = (count: number): number[][] => Array.from({ length: count }, () => [1])
    await assert.rejects(model.predict(steps(1_000_000)), { code: "DEADLINE_EXCEEDED" })
    while (!restarted) await new Promise((resolve) => setTimeout(resolve, 20))
    await ready(model)
    assert.equal(model.engine.name, device)
    await model.dispose()
  })
}

for (const options of [
  { predictTimeout: 0 },
  { predictTimeout: 2 ** 31 },
  { predictTimeout: NaN },
  { maxRestarts: 0 },
]) {
  test(`no model with ${JSON.stringify(options)}`, async () => {
    await assert.rejects(load(options), { code: "USAGE" })
  })
}
