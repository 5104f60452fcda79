/**
 * Convolutions and averages over windows in double precision, over one to three axes of space.
 *
 *     x [1, 7, 7, 512], filter [7, 7, 512, 1], all 0.1      250.88, where one float32 after the other gives 250.83
 */
import { addColumns, addRows } from "./double-sums.ts"
import { startAt } from "./double-matmul.ts"

type Axes = readonly [number, number, number]

/** Where windows lie on a grid; axes that are not there have the size 1. */
export interface Windows {
  readonly batch: number
  /** The grid that the windows look at. */
  readonly sizes: Axes
  /** How many windows there are. */
  readonly places: Axes
  /** How many cells a window has. */
  readonly taps: Axes
  readonly strides: Axes
  readonly gaps: Axes
  /** How far the first window begins before the grid. */
  readonly before: Axes
}

/** How far one step goes in memory. */
export interface Steps {
  readonly item: number
  readonly axes: Axes
  readonly channel: number
}

export interface Grid {
  readonly values: Float32Array
  readonly steps: Steps
  readonly channels: number
}

/** `cells` of a window that lie one after the other in memory, on the grid and in the filter. */
type Visit = (at: number, place: number, tap: number, cells: number) => void

export interface Convolution {
  readonly windows: Windows
  /** What the windows look at, and what has a cell for each window. */
  readonly grid: Grid
  readonly cells: Grid
  /** [taps…, channels of the grid, channels of the cells] */
  readonly filter: Float32Array
}

export function convolve({ windows, grid, cells, filter }: Convolution, bias: Float32Array | undefined): void {
  const sums = new Float64Array(cells.channels)
  const count = grid.channels
  const run = { values: grid.values, start: 0, step: grid.steps.channel, count }
  startAt(sums, bias)
  slide(
    windows,
    grid.steps,
    cells.steps,
    (at, _, tap, cells) => {
      run.start = at
      run.count = cells * count
      addRows(sums, run, filter, tap * count * sums.length)
    },
    (place) => {
      for (let channel = 0; channel < sums.length; channel++)
        cells.values[place + channel * cells.steps.channel] = sums[channel] as number
      startAt(sums, bias)
    },
  )
}

/** Each channel of the grid by itself makes `cells.channels / grid.channels` of the cells. */
export function convolveDepthwise({ windows, grid, cells, filter }: Convolution, bias: Float32Array | undefined): void {
  const sums = new Float64Array(cells.channels)
  const times = cells.channels / grid.channels
  startAt(sums, bias)
  slide(
    windows,
    grid.steps,
    cells.steps,
    (at, _, tap, cells) => {
      let [from, weight] = [at, tap * sums.length]
      for (let cell = 0; cell < cells; cell++)
        for (let channel = 0, sum = 0; channel < grid.channels; channel++, from++) {
          const value = grid.values[from] as number
          for (let each = 0; each < times; each++, sum++, weight++)
            sums[sum] = (sums[sum] as number) + value * (filter[weight] as number)
        }
    },
    (place) => {
      cells.values.set(sums, place)
      startAt(sums, bias)
    },
  )
}

/** The other way round: each cell adds to all that its window looks at. */
export function convolveTransposed({ windows, grid, cells, filter }: Convolution): void {
  const { channels } = grid
  const size = windows.sizes.reduce((product, each) => product * each, channels)
  const sums = new Float64Array(size)
  const run = { values: cells.values, start: 0, step: 1, count: cells.channels }
  for (let item = 0; item < windows.batch; item++) {
    sums.fill(0)
    const first = item * cells.steps.item
    slide(
      { ...windows, batch: 1 },
      grid.steps,
      cells.steps,
      (at, place, tap, cells) => {
        run.start = first + place
        addColumns(sums, at, cells * channels, run, filter, tap * channels * run.count)
      },
      () => undefined,
    )
    grid.values.set(sums, item * size)
  }
}

/** Of each window the mean of those cells that lie on the grid. */
export function average({ windows, grid, cells }: Omit<Convolution, "filter">): void {
  const sums = new Float64Array(grid.channels)
  let count = 0
  slide(
    windows,
    grid.steps,
    cells.steps,
    (at, _, __, cells) => {
      count += cells
      for (let cell = 0, from = at; cell < cells; cell++)
        for (let channel = 0; channel < sums.length; channel++, from++)
          sums[channel] = (sums[channel] as number) + (grid.values[from] as number)
    },
    (place) => {
      for (let channel = 0; channel < sums.length; channel++)
        cells.values[place + channel] = (sums[channel] as number) / count
      count = 0
      sums.fill(0)
    },
  )
}

/** Goes to each window, there to each of its cells that lies on the grid, and then leaves the window. */
function slide(windows: Windows, grid: Steps, cells: Steps, visit: Visit, leave: (place: number) => void): void {
  const [places, taps, gaps] = [windows.places, windows.taps, windows.gaps]
  const isDense = gaps[2] === 1 && grid.channel === 1
  const columns = Array.from({ length: places[2] }, (_, place) => reach(windows, 2, place))
  for (let item = 0; item < windows.batch; item++) {
    for (let p0 = 0; p0 < places[0]; p0++) {
      const [corner0, from0, to0] = reach(windows, 0, p0)
      for (let p1 = 0; p1 < places[1]; p1++) {
        const [corner1, from1, to1] = reach(windows, 1, p1)
        for (let p2 = 0; p2 < places[2]; p2++) {
          const [corner2, from2, to2] = columns[p2] as Reach
          const run = isDense ? to2 - from2 : 1
          const place = item * cells.item + p0 * cells.axes[0] + p1 * cells.axes[1] + p2 * cells.axes[2]
          for (let t0 = from0; t0 < to0; t0++) {
            const at0 = item * grid.item + (corner0 + t0 * gaps[0]) * grid.axes[0]
            for (let t1 = from1; t1 < to1; t1++) {
              const at1 = at0 + (corner1 + t1 * gaps[1]) * grid.axes[1]
              const row = (t0 * taps[1] + t1) * taps[2]
              for (let t2 = from2; t2 < to2; t2 += run)
                visit(at1 + (corner2 + t2 * gaps[2]) * grid.axes[2], place, row + t2, run)
            }
          }
          leave(place)
        }
      }
    }
  }
}

/** Along one axis: where the window begins, and the first and the last of its cells that lie on the grid. */
type Reach = readonly [corner: number, from: number, to: number]

function reach(windows: Windows, axis: 0 | 1 | 2, place: number): Reach {
  const [gap, size] = [windows.gaps[axis], windows.sizes[axis]]
  const corner = place * windows.strides[axis] - windows.before[axis]
  return [corner, Math.max(0, Math.ceil(-corner / gap)), Math.min(windows.taps[axis], Math.ceil((size - corner) / gap))]
}
