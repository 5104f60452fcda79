// All 10,000 test digits, by TF Serving's REST interface: node 4-ask.mjs DATA_FOLDER
import { readFile } from "node:fs/promises"
import { join } from "node:path"

const read = async (name, offset) => (await readFile(join(process.argv[2], name))).subarray(offset)
const [images, labels] = [await read("t10k-images-idx3-ubyte", 16), await read("t10k-labels-idx1-ubyte", 8)]
const image = (at) =>
  Array.from({ length: 28 }, (_, row) =>
    Array.from(images.subarray(784 * at + 28 * row, 784 * at + 28 * (row + 1)), (ink) => ink / 255),
  )
let right = 0
for (let at = 0; at < labels.length; at += 500) {
  const instances = Array.from({ length: 500 }, (_, index) => image(at + index))
  const response = await fetch(`${process.env.SERVICE}/v1/models/mnist:predict`, {
    method: "POST",
    body: JSON.stringify({ instances }),
  })
  const { predictions } = await response.json()
  predictions.forEach((prob, index) => (right += prob.indexOf(Math.max(...prob)) === labels[at + index] ? 1 : 0))
}
console.log(`accuracy of the service over ${labels.length} digits: ${(right / labels.length).toFixed(4)}`)
