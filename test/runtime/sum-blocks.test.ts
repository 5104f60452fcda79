/**
 * Sums of products in blocks, against plain loops in double precision: random shapes, strides, dilations, paddings and
 * transposes, with blocks of 5 terms in place of 600, so that
 * small tensors have many.
 */
import assert from "node:assert/strict"
import { before, test } from "node:test"
import { openJs } from "@weighlock/runtime/src/engines/tfjs/js.ts"
import type { Backend, TensorFlow } from "@weighlock/runtime/src/engines/tfjs/backend.ts"
import { kernelOutput, kernelScratch } from "@weighlock/runtime/src/engines/tfjs/kernel-sizes.ts"
import { openWasm } from "@weighlock/runtime/src/engines/tfjs/wasm.ts"
import { Random } from "../matrix/random.ts"

type Tensor = ReturnType<TensorFlow["tensor"]>
type Numbers = number[]
/** Of each axis of space: size, kernel, stride, gap of the kernel's cells, padding before, size of the answer. */
interface Axis {
  readonly size: number
  readonly kernel: number
  readonly stride: number
  readonly gap: number
  readonly before: number
  readonly places: number
}

let tf: TensorFlow
let wasm: {
  readonly wasm: { HEAPU8: Uint8Array }
  numDataIds(): number
  makeOutput(shape: number[], ...rest: unknown[]): { dataId: object }
  disposeData(id: object, ...rest: unknown[]): boolean
}

async function opened(engine: Promise<{ available: boolean }>): Promise<Backend> {
  const found = (await engine) as { available: true } & Backend
  assert.ok(found.available)
  return found
}

before(async () => {
  await opened(openJs())
  tf = (await opened(openWasm(5))).tf
  wasm = tf.backend() as unknown as typeof wasm
})

function axis(random: Random, padding: string, stride: number, gap: number): Axis {
  // A kernel smaller than its stride is refused at load, where padding keeps the size.
  const kernel = random.int(padding === "same" ? stride : 1, 4)
  const reach = (kernel - 1) * gap + 1
  const size = reach + random.int(0, 4)
  const places = padding === "same" ? Math.ceil(size / stride) : Math.floor((size - reach) / stride) + 1
  const start = padding === "same" ? Math.floor(Math.max(0, (places - 1) * stride + reach - size) / 2) : 0
  return { size, kernel, stride, gap, before: start, places }
}

const count = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1)
const numbers = (random: Random, sizes: readonly number[]): Numbers =>
  random.many(count(sizes), () => random.int(-(2 ** 20), 2 ** 20) / 2 ** 20)

/** Every combination of an index below each of the sizes. */
function* indices(sizes: readonly number[]): Generator<number[]> {
  for (let each = 0, all = count(sizes); each < all; each++) {
    let rest = each
    const found = sizes.toReversed().map((size) => {
      const index = rest % size
      rest = Math.floor(rest / size)
      return index
    })
    yield found.toReversed()
  }
}

const offset = (index: readonly number[], sizes: readonly number[]): number =>
  index.reduce((sum, each, at) => sum * (sizes[at] ?? 1) + each, 0)

/** All pairs that meet: a cell of the answer's grid, one of the kernel, one of the input's grid. */
function* meetings(axes: readonly Axis[]): Generator<readonly [place: number[], tap: number[], at: number[]]> {
  for (const place of indices(axes.map(({ places }) => places))) {
    for (const tap of indices(axes.map(({ kernel }) => kernel))) {
      const at = axes.map(({ stride, gap, before: pad }, i) => (place[i] ?? 0) * stride + (tap[i] ?? 0) * gap - pad)
      if (at.every((each, i) => each >= 0 && each < (axes[i]?.size ?? 0))) yield [place, tap, at]
    }
  }
}

async function agree(name: string, compute: () => Tensor, expected: Numbers): Promise<void> {
  for (const backend of ["cpu", "wasm"]) {
    await tf.setBackend(backend)
    const found = tf.tidy(() => compute().dataSync())
    assert.equal(found.length, expected.length, `${backend} ${name}`)
    expected.forEach((each, at) => {
      assert.ok(
        Math.abs((found[at] ?? NaN) - each) < 2e-6 * Math.max(1, Math.abs(each)),
        `${backend} ${name}: ${found[at]}, not ${each}`,
      )
    })
  }
}

test("convolutions over two and three axes", async () => {
  for (let each = 0; each < 60; each++) {
    const random = new Random(`convolution ${each}`)
    const pad = random.of(["valid", "same"] as const)
    const rank = random.int(2, 3)
    const dilated = rank === 2 && random.once(3)
    const axes = random.many(rank, () =>
      axis(random, pad, dilated ? 1 : random.int(1, 3), dilated ? random.int(1, 2) : 1),
    )
    const [batch, channels, filters] = [random.int(1, 2), random.int(1, 12), random.int(1, 5)]
    const [sizes, taps] = [axes.map(({ size }) => size), axes.map(({ kernel }) => kernel)]
    const [xShape, wShape] = [
      [batch, ...sizes, channels],
      [...taps, channels, filters],
    ]
    const [x, w] = [numbers(random, xShape), numbers(random, wShape)]
    const outShape = [batch, ...axes.map(({ places }) => places), filters]
    const expected = Array<number>(count(outShape)).fill(0)
    for (const [place, tap, at] of meetings(axes)) {
      for (const [b = 0, c = 0, f = 0] of indices([batch, channels, filters])) {
        const to = offset([b, ...place, f], outShape)
        const product = (x[offset([b, ...at, c], xShape)] ?? 0) * (w[offset([...tap, c, f], wShape)] ?? 0)
        expected[to] = (expected[to] ?? 0) + product
      }
    }
    const [strides, gaps] = [axes.map(({ stride }) => stride), axes.map(({ gap }) => gap)]
    const compute = (): Tensor =>
      rank === 2
        ? tf.conv2d(
            tf.tensor4d(x, shape4(xShape)),
            tf.tensor4d(w, shape4(wShape)),
            pair(strides),
            pad,
            "NHWC",
            pair(gaps),
          )
        : tf.conv3d(tf.tensor5d(x, shape5(xShape)), tf.tensor5d(w, shape5(wShape)), triple(strides), pad)
    await agree(`${xShape.join()} * ${wShape.join()} ${strides.join()} ${gaps.join()} ${pad}`, compute, expected)
  }
})

test("convolutions of each channel by itself", async () => {
  for (let each = 0; each < 30; each++) {
    const random = new Random(`depthwise ${each}`)
    const pad = random.of(["valid", "same"] as const)
    const stride = random.int(1, 3)
    const axes = random.many(2, () => axis(random, pad, stride, 1))
    const [batch, channels, times] = [random.int(1, 2), random.int(1, 4), random.int(1, 3)]
    const [xShape, wShape] = [
      [batch, ...axes.map(({ size }) => size), channels],
      [...axes.map(({ kernel }) => kernel), channels, times],
    ]
    const [x, w] = [numbers(random, xShape), numbers(random, wShape)]
    const outShape = [batch, ...axes.map(({ places }) => places), channels * times]
    const expected = Array<number>(count(outShape)).fill(0)
    for (const [place, tap, at] of meetings(axes)) {
      for (const [b = 0, c = 0, t = 0] of indices([batch, channels, times])) {
        const to = offset([b, ...place, c * times + t], outShape)
        const product = (x[offset([b, ...at, c], xShape)] ?? 0) * (w[offset([...tap, c, t], wShape)] ?? 0)
        expected[to] = (expected[to] ?? 0) + product
      }
    }
    const compute = (): Tensor =>
      tf.depthwiseConv2d(tf.tensor4d(x, shape4(xShape)), tf.tensor4d(w, shape4(wShape)), stride, pad)
    await agree(`${xShape.join()} * ${wShape.join()} ${stride} ${pad}`, compute, expected)
  }
})

test("transposed convolutions over two and three axes", async () => {
  for (let each = 0; each < 40; each++) {
    const random = new Random(`transposed ${each}`)
    const pad = random.of(["valid", "same"] as const)
    const rank = random.int(2, 3)
    const axes = random.many(rank, () => axis(random, pad, random.int(1, 3), 1))
    const [batch, channels, filters] = [random.int(1, 2), random.int(1, 8), random.int(1, 4)]
    const [xShape, outShape] = [
      [batch, ...axes.map(({ places }) => places), channels],
      [batch, ...axes.map(({ size }) => size), filters],
    ]
    const wShape = [...axes.map(({ kernel }) => kernel), filters, channels]
    const [x, w] = [numbers(random, xShape), numbers(random, wShape)]
    const expected = Array<number>(count(outShape)).fill(0)
    for (const [place, tap, at] of meetings(axes)) {
      for (const [b = 0, c = 0, f = 0] of indices([batch, channels, filters])) {
        const to = offset([b, ...at, f], outShape)
        const product = (x[offset([b, ...place, c], xShape)] ?? 0) * (w[offset([...tap, f, c], wShape)] ?? 0)
        expected[to] = (expected[to] ?? 0) + product
      }
    }
    const strides = axes.map(({ stride }) => stride)
    const compute = (): Tensor =>
      rank === 2
        ? tf.conv2dTranspose(
            tf.tensor4d(x, shape4(xShape)),
            tf.tensor4d(w, shape4(wShape)),
            shape4(outShape),
            pair(strides),
            pad,
          )
        : tf.conv3dTranspose(
            tf.tensor5d(x, shape5(xShape)),
            tf.tensor5d(w, shape5(wShape)),
            shape5(outShape),
            triple(strides),
            pad,
          )
    await agree(`${xShape.join()} * ${wShape.join()} ${strides.join()} ${pad}`, compute, expected)
  }
})

test("products of matrices, one or several, either way round", async () => {
  for (let each = 0; each < 60; each++) {
    const random = new Random(`product ${each}`)
    const [rows, inner, columns] = [random.int(1, 7), random.int(1, 40), random.int(1, 9)]
    const [batchA, batchB] = random.of([
      [1, 1],
      [1, 1],
      [1, 3],
      [3, 1],
      [2, 2],
    ])
    const [turnA, turnB] = [random.once(3), random.once(3)]
    const [aShape, bShape] = [
      [batchA ?? 1, ...(turnA ? [inner, rows] : [rows, inner])],
      [batchB ?? 1, ...(turnB ? [columns, inner] : [inner, columns])],
    ]
    const [a, b] = [numbers(random, aShape), numbers(random, bShape)]
    const expected: Numbers = []
    for (const [item = 0, row = 0, column = 0] of indices([Math.max(batchA ?? 1, batchB ?? 1), rows, columns])) {
      let sum = 0
      for (let k = 0; k < inner; k++) {
        const left = a[offset([item % (batchA ?? 1), ...(turnA ? [k, row] : [row, k])], aShape)] ?? 0
        const right = b[offset([item % (batchB ?? 1), ...(turnB ? [column, k] : [k, column])], bShape)] ?? 0
        sum += left * right
      }
      expected.push(sum)
    }
    const compute = (): Tensor =>
      tf.matMul(tf.tensor3d(a, shape3(aShape)), tf.tensor3d(b, shape3(bShape)), turnA, turnB)
    await agree(`${aShape.join()} · ${bShape.join()} ${turnA} ${turnB}`, compute, expected)
  }
})

test("a bias and an activation come after all blocks", async () => {
  const [x, w] = [numbers(new Random("x"), [6, 50]), numbers(new Random("w"), [50, 5])]
  const bias = [4, -4, 0, 1, -1]
  const expected = Array.from(indices([6, 5]), ([row = 0, column = 0]) => {
    let sum = bias[column] ?? 0
    for (let k = 0; k < 50; k++) sum += (x[row * 50 + k] ?? 0) * (w[k * 5 + column] ?? 0)
    return Math.max(0, sum)
  })
  assert.ok(expected.includes(0) && expected.some((each) => each > 4))
  const [a, b] = [(): Tensor => tf.tensor2d(x, [6, 50]), (): Tensor => tf.tensor2d(w, [50, 5])]
  await agree("Dense", () => tf.fused.matMul({ a: a(), b: b(), bias: tf.tensor1d(bias), activation: "relu" }), expected)
  const convolution = (): Tensor =>
    tf.fused.conv2d({
      x: tf.tensor4d(x, [1, 2, 3, 50]),
      filter: tf.tensor4d(w, [1, 1, 50, 5]),
      strides: 1,
      pad: "valid",
      bias: tf.tensor1d(bias),
      activation: "relu",
    })
  await agree("Conv2D", convolution, expected)
})

test("slices, and all parts of a tensor along an axis", async () => {
  for (let each = 0; each < 60; each++) {
    const random = new Random(`slice ${each}`)
    const shape = random.many(random.int(1, 4), () => random.int(1, 5))
    const x = numbers(random, shape)
    const begin = shape.map((size) => random.int(0, size - 1))
    const size = shape.map((length, at) => random.int(1, length - (begin[at] ?? 0)))
    const take = (start: Numbers, lengths: Numbers): Numbers =>
      Array.from(
        indices(lengths),
        (index) =>
          x[
            offset(
              index.map((at, i) => at + (start[i] ?? 0)),
              shape,
            )
          ] ?? 0,
      )
    const given = (): Tensor => tf.tensor(x, shape)
    await agree(
      `${begin.join()} ${size.join()} of ${shape.join()}`,
      () => tf.slice(given(), begin, size),
      take(begin, size),
    )
    const along = random.int(0, shape.length - 1)
    const cut = random.int(0, shape[along] ?? 0)
    const sizes = [cut, (shape[along] ?? 0) - cut].filter((length) => length > 0)
    const lengths = shape.map((length, at) => (at === along ? (sizes.at(-1) ?? 0) : length))
    const start = shape.map((length, at) => (at === along ? length - (sizes.at(-1) ?? 0) : 0))
    await agree(
      `the last part of ${sizes.join()}`,
      () => tf.split(given(), sizes, along).at(-1) as Tensor,
      take(start, lengths),
    )
  }
})

test("the memory guard counts what a long sum keeps beside its answer", async () => {
  await tf.setBackend("wasm")
  const calls: readonly [name: string, inputs: Readonly<Record<string, number[]>>, attributes: object][] = [
    ["Conv2D", { x: [1, 9, 9, 200], filter: [3, 3, 200, 90] }, { strides: [1, 1], pad: "same", dataFormat: "NHWC" }],
    ["Conv2D", { x: [2, 40, 1, 30], filter: [33, 1, 30, 6] }, { strides: [2, 1], pad: "same", dataFormat: "NHWC" }],
    ["BatchMatMul", { a: [1, 70, 3000], b: [1, 3000, 90] }, { transposeA: false, transposeB: false }],
    [
      "Conv2DBackpropInput",
      { dy: [1, 5, 5, 700], filter: [3, 3, 8, 700] },
      { inputShape: [1, 7, 7, 8], strides: [1, 1], pad: "valid", dataFormat: "NHWC" },
    ],
  ]
  for (const [name, shapes, attributes] of calls) {
    const inputs = Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [key, tf.ones(shape)]))
    const attrs = { dilations: [1, 1], ...attributes }
    const run = (): void => void [tf.engine().runKernel(name, inputs, attrs)].flat().map((each) => each.dispose())
    run() // so that what is kept for the weights is there
    const peak = mostMade(run)
    const counted = 4 * (kernelOutput(name, inputs, attrs) + kernelScratch(name, inputs, attrs))
    assert.ok(peak > 0 && peak <= counted, `${name}: ${peak} bytes, and ${counted} are counted`)
    for (const input of Object.values(inputs)) input.dispose()
  }
})

/** Bytes that tensors and sums in double had at most, beside those that were there. */
function mostMade(run: () => void): number {
  const { makeOutput, disposeData } = wasm
  const OriginalSums = globalThis.Float64Array
  const sizes = new Map<object, number>()
  let [live, sums, peak] = [0, 0, 0]
  const count = (): void => void (peak = Math.max(peak, live + sums))
  globalThis.Float64Array = class extends OriginalSums {
    constructor(length: number) {
      super(length)
      sums += 8 * length
      count()
    }
  } as unknown as typeof Float64Array
  wasm.makeOutput = function (shape, ...rest) {
    const made = makeOutput.call(this, shape, ...rest)
    sizes.set(made.dataId, 4 * shape.reduce((product, size) => product * size, 1))
    live += sizes.get(made.dataId) ?? 0
    count()
    return made
  }
  wasm.disposeData = function (id, ...rest) {
    const gone = disposeData.call(this, id, ...rest)
    if (gone) live -= sizes.get(id) ?? 0
    if (gone) sizes.delete(id)
    return gone
  }
  try {
    run()
  } finally {
    Object.assign(wasm, { makeOutput, disposeData })
    globalThis.Float64Array = OriginalSums
  }
  return peak
}

test("nothing is left behind, and what was kept for the weights goes with them", async () => {
  await tf.setBackend("wasm")
  const before = [wasm.numDataIds(), tf.memory().numTensors]
  const matrix = tf.ones([1000, 30])
  const filter = tf.tensor4d(Array<number>(3600).fill(1), [3, 3, 50, 8])
  const image = tf.tensor4d(Array<number>(8100).fill(1), [2, 9, 9, 50])
  const once = (): void =>
    tf.tidy(() => {
      tf.matMul(tf.ones([3, 1000]), matrix).dataSync()
      tf.conv2d(image, filter, 1, "same").dataSync()
      tf.matMul(tf.ones([1, 90]), tf.ones([90, 20])).dataSync() // as Dot does: nobody keeps these
    })
  once()
  const [ids, bytes] = [wasm.numDataIds(), wasm.wasm.HEAPU8.length]
  for (let each = 0; each < 100; each++) once()
  assert.equal(wasm.numDataIds(), ids)
  assert.equal(wasm.wasm.HEAPU8.length, bytes)
  for (const tensor of [matrix, filter, image]) tensor.dispose()
  assert.deepEqual([wasm.numDataIds(), tf.memory().numTensors], before)
})

const pair = ([a = 1, b = 1]: Numbers): [number, number] => [a, b]
const triple = ([a = 1, b = 1, c = 1]: Numbers): [number, number, number] => [a, b, c]
const shape3 = triple
const shape4 = ([a = 1, b = 1, c = 1, d = 1]: Numbers): [number, number, number, number] => [a, b, c, d]
const shape5 = ([a = 1, b = 1, c = 1, d = 1, e = 1]: Numbers): [number, number, number, number, number] => [
  a,
  b,
  c,
  d,
  e,
]
