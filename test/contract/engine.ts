/** What every engine does with every format that it loads: one suite, whatever computes. */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { VerifiedFiles } from "@weighlock/client"
import type { Model } from "@weighlock/runtime"

export interface EngineCase {
  /** For people: "wasm, keras-h5". */
  readonly name: string
  readonly device: string
  readonly format: string
  /** One input, a list of numbers; one output, a list of numbers; rows do not depend on each other. */
  readonly files: () => VerifiedFiles
  readonly question: readonly number[]
  readonly answer: readonly number[]
  readonly load: (files: VerifiedFiles, options: { readonly device: string }) => Promise<Model>
}

export function testEngine({ name, device, files, question, answer, load }: EngineCase): void {
  const open = (): Promise<Model> => load(files(), { device })
  const [size, width] = [question.length, answer.length]
  const near = (found: unknown): void => {
    assert.ok(Array.isArray(found) && found.length === width)
    for (const [at, right] of answer.entries())
      assert.ok(Math.abs(Number(found[at]) - right) <= 1e-5 * Math.max(1, Math.abs(right)), `${found[at]} for ${right}`)
  }
  const json = (value: unknown): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(JSON.stringify(value)))
  const told = (bytes: Uint8Array): Record<string, unknown> =>
    JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>

  test(`${name}: says what it is`, async () => {
    const model = await open()
    assert.equal(model.engine.name, device)
    assert.equal(typeof model.engine.rehearsal, "string")
    assert.deepEqual(
      model.inputs.map(({ shape, dtype }) => [shape, dtype]),
      [[[size], "float32"]],
    )
    assert.deepEqual(
      model.outputs.map(({ shape, dtype }) => [shape, dtype]),
      [[[width], "float32"]],
    )
    await model.dispose()
  })

  test(`${name}: one row, many rows and every form of a body answer the same`, async () => {
    const model = await open()
    const output = model.outputs[0]!.name
    const input = model.inputs[0]!.name
    near((await model.predict([...question]))[output])
    near((await model.predict(Float32Array.from(question)))[output])
    near((await model.predict({ [input]: [...question] }))[output])
    const many = await model.predictBatch(Array.from({ length: 300 }, () => [...question]))
    assert.equal(many.length, 300)
    for (const one of many) near(one[output])
    near((told(await model.predictJson(json({ instances: [question] })))["predictions"] as unknown[])[0])
    near((told(await model.predictJson(json({ inputs: { [input]: [question] } })))["outputs"] as unknown[])[0])
    near((told(await model.predictJson(json(question), { single: true }))["result"] as Record<string, unknown>)[output])
    assert.deepEqual(await model.predictBatch([]), [])
    await model.dispose()
  })

  test(`${name}: a wrong question is refused, and the next one answered`, async () => {
    const model = await open()
    for (const wrong of [
      [],
      [...question, 1],
      [question],
      ["1", ...question.slice(1)],
      [NaN, ...question.slice(1)],
      1,
      { other: question },
    ])
      await assert.rejects(model.predict(wrong), { code: "INPUT_INVALID" }, JSON.stringify(wrong))
    near((await model.predict([...question]))[model.outputs[0]!.name])
    await model.dispose()
  })

  test(`${name}: loaded twice, called back, disposed of`, async () => {
    const taken = files()
    const model = await load(taken, { device })
    await assert.rejects(load(taken, { device }), { code: "USAGE" })
    const left = new Error("left")
    await assert.rejects(model.predict([...question], { signal: AbortSignal.abort(left) }), left)
    await model.dispose()
    await model.dispose()
    await assert.rejects(model.predict([...question]), { code: "UNAVAILABLE" })
  })

  test(`${name}: another kind of engine is refused by name`, async () => {
    await assert.rejects(load(files(), { device: "gpu" }), { code: "DEVICE_UNAVAILABLE" })
    await assert.rejects(load(files(), { device: "no-such-engine" }), { code: "USAGE" })
  })
}
