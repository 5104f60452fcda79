/**
 * What tfjs-node's JavaScript asks of its native binding, in a hundred lines: enough operations for one dense network.
 * WEIGHLOCK_FAKE_GPU says whether it claims a CUDA device; any other operation is an error, as it is in libtensorflow.
 */
const types = {
  TF_FLOAT: 1,
  TF_INT32: 3,
  TF_STRING: 7,
  TF_COMPLEX64: 8,
  TF_INT64: 9,
  TF_BOOL: 10,
  TF_RESOURCE: 20,
  TF_UINT8: 4,
}
const attributes = {
  TF_ATTR_STRING: 0,
  TF_ATTR_INT: 1,
  TF_ATTR_FLOAT: 2,
  TF_ATTR_BOOL: 3,
  TF_ATTR_TYPE: 4,
  TF_ATTR_SHAPE: 5,
}

const tensors = new Map()
let nextId = 1

const product = (shape) => shape.reduce((total, size) => total * size, 1)

function keep(shape, dtype, values) {
  tensors.set(nextId, { id: nextId, shape, dtype, values })
  return tensors.get(nextId++)
}

const operations = {
  Identity: ([x]) => keep(x.shape, x.dtype, x.values),
  Cast: ([x], attrs) => keep(x.shape, attrs.DstT, Float32Array.from(x.values)),
  Reshape: ([x, shape]) => keep(inferred([...shape.values], x.values.length), x.dtype, x.values),
  Slice([x, begin, size]) {
    const rows = size.values[0] < 0 ? x.shape[0] - begin.values[0] : size.values[0]
    const each = product(x.shape.slice(1))
    return keep(
      [rows, ...x.shape.slice(1)],
      x.dtype,
      x.values.slice(begin.values[0] * each, (begin.values[0] + rows) * each),
    )
  },
  BatchMatMulV2([a, b]) {
    const [rows, inner, columns] = [a.shape.at(-2), a.shape.at(-1), b.shape.at(-1)]
    const values = new Float32Array(rows * columns)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        for (let k = 0; k < inner; k++)
          values[row * columns + column] += a.values[row * inner + k] * b.values[k * columns + column]
    return keep([...a.shape.slice(0, -1), columns], a.dtype, values)
  },
  Add: ([a, b]) =>
    keep(
      a.shape,
      a.dtype,
      a.values.map((value, at) => value + b.values[at % b.values.length]),
    ),
  IsFinite: ([x]) => keep(x.shape, types.TF_BOOL, Uint8Array.from(x.values, Number.isFinite)),
  All: ([x]) => keep([], types.TF_BOOL, Uint8Array.of(x.values.every((value) => value !== 0))),
  LogicalAnd: ([a, b]) => keep([], types.TF_BOOL, Uint8Array.of(a.values[0] & b.values[0])),
  Softmax([x]) {
    const width = x.shape.at(-1)
    const powers = x.values.map(Math.exp)
    const sum = (at) =>
      powers.slice(at - (at % width), at - (at % width) + width).reduce((total, value) => total + value, 0)
    return keep(
      x.shape,
      x.dtype,
      powers.map((value, at) => value / sum(at)),
    )
  },
}

const inferred = (shape, length) => shape.map((size) => (size === -1 ? length / -product(shape) : size))

module.exports = {
  ...types,
  ...attributes,
  TF_Version: "2.9.1-fake",
  isUsingGpuDevice: () => process.env.WEIGHLOCK_FAKE_GPU === "yes",
  createTensor: (shape, dtype, values) => keep([...shape], dtype, values.slice()).id,
  deleteTensor: (id) => tensors.delete(id),
  tensorDataSync: (id) => tensors.get(id).values,
  getNumOfTensors: () => tensors.size,
  getNumOfSavedModels: () => 0,
  executeOp(name, attrs, ids) {
    const operation = operations[name]
    if (!operation) throw new Error(`Op type not registered '${name}'`)
    const named = Object.fromEntries(attrs.map((attr) => [attr.name, attr.value]))
    return [
      operation(
        ids.map((id) => tensors.get(id)),
        named,
      ),
    ]
  },
}
