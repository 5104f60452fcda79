/**
 * Sums of many products: each engine against a sum in double precision, for numbers of one sign, where float32 drifts most.
 * Added one after the other, 5,000 of them would be wrong by 7e-5.
 */
/* oxlint-disable typescript/no-explicit-any, typescript/no-unsafe-argument, typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-member-access, typescript/no-unsafe-return -- the library's types live in the runtime's dependencies */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openEngine } from "../matrix/run-case.ts"

const near = 1e-5

interface Grid {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

let state = 11
function random(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return state / 2 ** 32
}
const within = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1))

/** Mostly one number, as that drifts most. */
function grid(...shape: number[]): Grid {
  const size = shape.reduce((product, each) => product * each, 1)
  const usual = 0.6 + random()
  return { shape, values: Float32Array.from({ length: size }, () => (random() < 0.02 ? random() : usual)) }
}

interface Axis {
  readonly kernel: number
  readonly stride: number
  readonly dilation: number
  readonly size: number
  readonly isSame: boolean
}
const reach = ({ kernel, dilation }: Axis): number => (kernel - 1) * dilation + 1
const places = (axis: Axis): number =>
  axis.isSame ? Math.ceil(axis.size / axis.stride) : Math.floor((axis.size - reach(axis)) / axis.stride) + 1
/** TensorFlow's SAME: what is missing on both sides, the odd one behind. */
function before(axis: Axis): number {
  if (!axis.isSame) return 0
  return Math.floor(Math.max(0, (places(axis) - 1) * axis.stride + reach(axis) - axis.size) / 2)
}

function convolve(x: Grid, filter: Grid, [rows, columns]: readonly [Axis, Axis], isDepthwise: boolean): number[] {
  const [batch = 0, height = 0, width = 0, channels = 0] = x.shape
  const out = filter.shape[3] ?? 0
  const answers: number[] = []
  for (let b = 0; b < batch; b++)
    for (let row = 0; row < places(rows); row++)
      for (let column = 0; column < places(columns); column++)
        for (let answer = 0; answer < (isDepthwise ? channels * out : out); answer++) {
          let sum = 0
          for (let i = 0; i < rows.kernel; i++)
            for (let j = 0; j < columns.kernel; j++) {
              const y = row * rows.stride + i * rows.dilation - before(rows)
              const z = column * columns.stride + j * columns.dilation - before(columns)
              if (y < 0 || y >= height || z < 0 || z >= width) continue
              for (let c = 0; c < channels; c++) {
                if (isDepthwise && Math.floor(answer / out) !== c) continue
                const value = x.values[((b * height + y) * width + z) * channels + c] as number
                const at = ((i * columns.kernel + j) * channels + c) * out + (isDepthwise ? answer % out : answer)
                sum += value * (filter.values[at] as number)
              }
            }
          answers.push(sum)
        }
  return answers
}

type Any = any

interface Problem {
  readonly what: string
  readonly ask: (tf: Any, tensor: (grid: Grid) => Any) => Any
  readonly right: readonly number[]
}

function convolution(): Problem {
  const isDepthwise = random() < 0.3
  const axis = (kernel: number): Axis => {
    const stride = within(1, Math.min(3, kernel))
    const dilation = stride === 1 ? within(1, 2) : 1
    const isSame = random() < 0.5
    return { kernel, stride, dilation, isSame, size: (kernel - 1) * dilation + within(1, 4) }
  }
  const [wide, tall] = isDepthwise ? [within(20, 40), within(32, 40)] : [within(1, 30), within(1, 5)]
  const rows = axis(wide)
  const columns = { ...axis(tall), isSame: rows.isSame, stride: rows.stride, dilation: rows.dilation }
  const fitted = { ...columns, size: (columns.kernel - 1) * columns.dilation + within(1, 4) }
  const channels = isDepthwise ? 2 : Math.ceil(within(601, 4000) / (rows.kernel * fitted.kernel))
  const axes = (random() < 0.5 ? [rows, fitted] : [fitted, rows]) as [Axis, Axis]
  const x = grid(within(1, 2), axes[0].size, axes[1].size, channels)
  const filter = grid(axes[0].kernel, axes[1].kernel, channels, within(1, 3))
  const { stride, dilation, isSame } = rows
  const pad = isSame ? "same" : "valid"
  return {
    what: `${isDepthwise ? "depthwise" : "convolution"} ${x.shape.join("×")} by ${filter.shape.join("×")}, ${pad}, stride ${stride}, dilation ${dilation}`,
    right: convolve(x, filter, axes, isDepthwise),
    ask: (tf, tensor) => {
      const call = isDepthwise ? tf.depthwiseConv2d : tf.conv2d
      return call(tensor(x), tensor(filter), stride, pad, "NHWC", dilation)
    },
  }
}

function product(): Problem {
  const [batch, rows, inner, columns] = [within(1, 3), within(1, 4), within(601, 5000), within(1, 5)]
  const [transposeA, transposeB, isShared] = [random() < 0.5, random() < 0.5, random() < 0.5]
  const a = grid(batch, ...(transposeA ? [inner, rows] : [rows, inner]))
  const b = grid(isShared ? 1 : batch, ...(transposeB ? [columns, inner] : [inner, columns]))
  const right: number[] = []
  for (let at = 0; at < batch; at++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        let sum = 0
        for (let k = 0; k < inner; k++) {
          const left = at * rows * inner + (transposeA ? k * rows + row : row * inner + k)
          const from = isShared ? 0 : at * inner * columns
          sum +=
            (a.values[left] as number) *
            (b.values[from + (transposeB ? column * inner + k : k * columns + column)] as number)
        }
        right.push(sum)
      }
  return {
    what: `product ${a.shape.join("×")}${transposeA ? "ᵀ" : ""} · ${b.shape.join("×")}${transposeB ? "ᵀ" : ""}`,
    right,
    ask: (tf, tensor) => tf.matMul(tensor(a), tensor(b), transposeA, transposeB),
  }
}

/** Of equal numbers, so that the places which lie inside are all that counts. */
function volume(): Problem {
  const [kernel, stride, channels, isSame] = [within(3, 6), within(1, 3), within(30, 60), random() < 0.5]
  const axes = [0, 1, 2].map((): Axis => ({ kernel, stride, dilation: 1, isSame, size: kernel + within(0, 3) }))
  const inside = axes.map((axis) =>
    Array.from({ length: places(axis) }, (_, place) => {
      const first = place * axis.stride - before(axis)
      return Math.min(axis.size, first + axis.kernel) - Math.max(0, first)
    }),
  )
  const [x, filter] = [Math.fround(0.6 + random()), Math.fround(0.6 + random())]
  const [depths = [], rows = [], columns = []] = inside
  const right = depths.flatMap((depth) =>
    rows.flatMap((row) => columns.map((column) => depth * row * column * channels * x * filter)),
  )
  return {
    what: `convolution of a volume, kernel ${kernel}, stride ${stride}, ${channels} channels, ${isSame ? "same" : "valid"}`,
    right,
    ask: (tf) => {
      const { fill } = tf as { fill: (shape: number[], value: number) => Any }
      const input = fill([1, ...axes.map(({ size }) => size), channels], x)
      return tf.conv3d(input, fill([kernel, kernel, kernel, channels, 1], filter), stride, isSame ? "same" : "valid")
    },
  }
}

function transposed(): Problem {
  const [kernel, inputs, outputs] = [2, within(601, 2000), within(1, 3)]
  const x = grid(1, 2, 2, inputs)
  const filter = grid(kernel, kernel, outputs, inputs)
  const right: number[] = []
  for (let row = 0; row < 4; row++)
    for (let column = 0; column < 4; column++)
      for (let out = 0; out < outputs; out++) {
        let sum = 0
        for (let c = 0; c < inputs; c++)
          sum +=
            (x.values[((row >> 1) * 2 + (column >> 1)) * inputs + c] as number) *
            (filter.values[(((row & 1) * kernel + (column & 1)) * outputs + out) * inputs + c] as number)
        right.push(sum)
      }
  return {
    what: `transposed convolution of ${inputs} channels`,
    right,
    ask: (tf, tensor) => tf.conv2dTranspose(tensor(x), tensor(filter), [1, 4, 4, outputs], 2, "same"),
  }
}

const problems = [
  ...Array.from({ length: 30 }, convolution),
  ...Array.from({ length: 20 }, product),
  ...Array.from({ length: 3 }, transposed),
  ...Array.from({ length: 6 }, volume),
]

for (const name of ["js", "wasm"]) {
  test(`${name}: products and convolutions of many terms are right`, async () => {
    const { tf, backend }: { tf: Any; backend: string } = await openEngine(name)
    await tf.setBackend(backend)
    for (const { what, right, ask } of problems) {
      const answer = tf.tidy(() => ask(tf, ({ shape, values }) => tf.tensor(values, shape)))
      const values = await answer.data()
      answer.dispose()
      assert.equal(values.length, right.length, what)
      for (const [at, expected] of right.entries()) {
        const off = Math.abs((values[at] as number) - expected) / Math.max(1, Math.abs(expected))
        assert.ok(off <= near, `${what}: ${values[at]} for ${expected}`)
      }
    }
  })

  test(`${name}: nothing of it is kept, with weights that stay and with ones that go`, async () => {
    const { tf, backend }: { tf: Any; backend: string } = await openEngine(name)
    await tf.setBackend(backend)
    const constant = (shape: number[], value: number): Any => tf.fill(shape, value)
    const kept = tf.backend() as { numDataIds(): number }
    const weights = [constant([1500, 8], 0.1), constant([3, 3, 200, 4], 0.1)]
    const ask = (): void =>
      tf.tidy(() => {
        const [dense, kernel] = random() < 0.5 ? weights : weights.map((weight) => tf.add(weight, 0))
        tf.matMul(constant([2, 1500], 0.1), dense)
        tf.conv2d(constant([1, 5, 5, 200], 0.1), kernel, 1, "same")
      })
    for (let round = 0; round < 5; round++) ask()
    const before = kept.numDataIds()
    for (let round = 0; round < 100; round++) ask()
    assert.equal(kept.numDataIds(), before)
    for (const weight of weights) weight.dispose()
    assert.ok(kept.numDataIds() <= before - weights.length)
    assert.equal(tf.memory().numTensors, 0)
  })
}
