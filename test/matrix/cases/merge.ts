/** Layers of several inputs. */
import { type Config, type Draft, type Family, functional, layer } from "../case.ts"
import type { Random } from "../random.ts"
import { anyShape } from "./activation.ts"

const letters = ["a", "b", "c"]

function merge(className: string, config: Config, shapes: readonly (readonly number[])[]): Draft {
  const inputs = shapes.map((shape, index) => ({ name: letters[index] ?? "d", shape }))
  return functional(inputs, [[layer(className, config), inputs.map(({ name }) => name)]], [["x", 0, 0]])
}

/** Equal shapes, sizes of one that stretch, or a missing axis. */
function elementwise(className: string): (random: Random) => Draft {
  return (random) => {
    const shape = anyShape(random, 1, 3)
    const count = random.int(2, 3)
    const kind = random.int(1, 4)
    const shapes = random.many(count, () => {
      if (kind === 1) return shape.map((size) => (random.once(2) ? 1 : size))
      return shape
    })
    if (kind === 2 && shape.length > 1) shapes[1] = shape.slice(1)
    return merge(className, {}, shapes)
  }
}

function concatenate(random: Random): Draft {
  const shape = anyShape(random, 1, 3)
  const axis = random.int(1, shape.length)
  const one = (): number[] => shape.map((size, at) => (at + 1 === axis ? random.int(1, 4) : size))
  const shapes = random.many(random.int(2, 3), one)
  return merge("Concatenate", { axis: random.once(2) ? axis : axis - shape.length - 1 }, shapes)
}

function dot(random: Random): Draft {
  const [shared, rows, columns] = [random.int(1, 5), random.int(1, 4), random.int(1, 4)]
  const normalize = random.once(3)
  const choices: [number | number[], number[], number[]][] = [
    [1, [shared], [shared]],
    [-1, [shared], [shared]],
    [
      [1, 1],
      [shared, rows],
      [shared, columns],
    ],
    [
      [2, 1],
      [rows, shared],
      [shared, columns],
    ],
    [
      [2, 2],
      [rows, shared],
      [columns, shared],
    ],
    [
      [1, 2],
      [shared, rows],
      [columns, shared],
    ],
    [-1, [rows, shared], [columns, shared]],
    [[1, 1], [shared], [shared, columns]],
    [[2, 1], [rows, shared], [shared]],
  ]
  const [axes, left, right] = random.of(choices)
  return merge("Dot", { axes, normalize }, [left, right])
}

export const mergeFamilies: readonly Family[] = [
  ...["Add", "Average", "Maximum", "Minimum", "Multiply"].map((className) => ({
    layer: className,
    count: 60,
    draft: elementwise(className),
  })),
  { layer: "Concatenate", count: 80, draft: concatenate },
  { layer: "Dot", count: 100, draft: dot },
]
