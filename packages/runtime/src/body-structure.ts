/**
 * Counts what a body would become before it is parsed: JSON.parse takes half a minute, and can't be stopped, for 32 MiB of
 * brackets, and makes ten bytes of some bodies' one.
 *
 *     {"instances":[{"image":[[1],[2]]}]}    depth 5, 4 lists and 2 objects, 2 strings
 */
import { isWrittenAsText } from "./dtypes.ts"
import { RuntimeError } from "./errors.ts"
import { elementsIn, type TensorSpec } from "./tensors.ts"

/** Lists and objects of one body, unless the rows have more: as many as a picture of 4 million pixels has. */
const manyLists = 2 ** 22
/** Strings beside the names of inputs, and brackets around a tensor: body, list, row by name. */
const stringsAround = 64
const depthAround = 3
const listsAround = 64

const [quote, backslash] = [0x22, 0x5c]
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Throws INPUT_INVALID for what is deeper, or has more names, than this model's questions; TOO_LARGE for too many lists. */
export function requireStructure(body: Uint8Array, inputs: readonly TensorSpec[], maxRows: number): void {
  const rank = Math.max(0, ...inputs.map(({ shape }) => shape.length))
  // One more of each: a tensor that is a little too deep is refused with its shape.
  const texts = inputs.some(({ dtype }) => isWrittenAsText(dtype)) ? manyLists : 0
  const limits = { depth: rank + depthAround + 1, strings: maxRows * inputs.length + stringsAround + texts }
  const maxLists = Math.max(manyLists, maxRows * listsInRow(inputs) + listsAround)
  let [depth, lists, strings] = [0, 0, 0]
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (byte === quote) {
      if (++strings > limits.strings) throw invalid("the body has more names than questions to this model have")
      at = endOfString(body, at)
    } else if (byte === openList || byte === openObject) {
      if (++depth > limits.depth) throw invalid(`the body is nested deeper than ${limits.depth}; tensors have ${rank}`)
      if (++lists > maxLists) throw tooLarge(maxLists)
    } else if (byte === closeList || byte === closeObject) depth -= 1
  }
}

/** With the object that names the inputs. An input with a dimension left open says nothing of how many it has. */
function listsInRow(inputs: readonly TensorSpec[]): number {
  const declared = inputs.flatMap(({ shape }) => (shape.includes(null) ? [] : [shape.map(Number)]))
  return declared.reduce((total, sizes) => {
    return total + sizes.reduce((lists, _, level) => lists + elementsIn(sizes.slice(0, level)), 0)
  }, 1)
}

function endOfString(body: Uint8Array, start: number): number {
  let at = start + 1
  while (at < body.length && body[at] !== quote) at += body[at] === backslash ? 2 : 1
  return at
}

function invalid(message: string): RuntimeError {
  return new RuntimeError("INPUT_INVALID", message)
}

function tooLarge(maxLists: number): RuntimeError {
  return new RuntimeError("TOO_LARGE", `the body has more than ${maxLists} lists`, { hint: "ask in several requests" })
}
