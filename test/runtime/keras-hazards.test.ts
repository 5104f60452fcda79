/** Keras files that lead out of themselves, make much out of little, or say two things: all refused, in words. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { openFormat } from "@weighlock/runtime/src/formats/format.ts"
import { openHdf5 } from "@weighlock/runtime/src/formats/hdf5/hdf5.ts"
import { openZip } from "@weighlock/runtime/src/formats/zip.ts"
import {
  type Bytes,
  dataset,
  type DatasetParts,
  float32Type,
  type GroupParts,
  hdf5,
  int64Type,
  join,
  le,
  undefinedAddress,
} from "../support/hdf5-file.ts"
import { type MemberParts, zip } from "../support/zip-file.ts"

const kernel = dataset([2, 3], Float32Array.from([1, 2, 3, 4, 5, 6]))
const with_ = (changed: Partial<DatasetParts>): Bytes => hdf5({ members: { w: { ...kernel, ...changed } } })

/** The first place of some bytes, changed to others. */
function patched(bytes: Bytes, from: Uint8Array | string, to: Uint8Array | string, nth = 0): Bytes {
  const copy = Buffer.from(bytes)
  let at = -1
  for (let count = 0; count <= nth; count++) at = copy.indexOf(from, at + 1)
  assert.ok(at >= 0, "not found")
  Buffer.from(to).copy(copy, at)
  return new Uint8Array(copy)
}

test("what Keras writes is read: views of the file, in groups", () => {
  const bytes = hdf5({
    attributes: { one: "text", many: ["a", "bcd"] },
    members: Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`g${at}`, { members: { w: kernel } }])),
  })
  const { attributes, groups } = openHdf5(bytes)
  assert.deepEqual([attributes.get("one")?.texts, attributes.get("many")?.texts], [["text"], ["a", "bcd"]])
  assert.equal(groups.size, 20)
  const found = groups.get("g7")?.datasets.get("w")
  assert.deepEqual([found?.shape, found?.type], [[2, 3], { kind: "float", size: 4 }])
  assert.equal(found?.bytes.buffer, bytes.buffer)
})

/** Five datasets in one place. */
function sharing(): Bytes {
  const all = { ...kernel, shape: [2500], data: new Uint8Array(0), layout: () => join(le(1, 3, 1), le(8, 0, 10_000)) }
  const real = dataset([2500], new Float32Array(2500))
  return hdf5({ members: { real, a: all, b: all, c: all, d: all } })
}

/** The header's one continuation is its first block again. */
function continuing(): Bytes {
  const mark = le(8, 0x1234567, 24)
  const bytes = hdf5({ messages: [{ type: 0x10, body: mark }] })
  const root = new DataView(bytes.buffer).getUint32(64, true)
  return patched(bytes, mark, le(8, root + 16, 24))
}

const outside = join(le(1, 3, 1), le(8, 2 ** 40, 24))
const hazards: readonly (readonly [what: string, bytes: Bytes, words: RegExp])[] = [
  ["external storage", with_({ messages: [{ type: 0x07, body: new Uint8Array(24) }] }), /external storage/],
  ["a virtual dataset", with_({ layout: () => join(le(1, 4, 3), le(8, 0), le(4, 0)) }), /virtual/],
  ["chunks", with_({ layout: () => join(le(1, 3, 2, 3), le(8, 0), le(4, 1, 1, 4)) }), /chunks/],
  ["a filter", with_({ messages: [{ type: 0x0b, body: join(le(1, 1, 1), new Uint8Array(22)) }] }), /compressed/],
  ["a soft link", hdf5({ members: { a: kernel, b: { link: "soft" } } }), /soft link/],
  [
    "a soft link as a message",
    hdf5({ messages: [{ type: 0x06, body: join(le(1, 1, 8, 1, 1), Buffer.from("x"), le(2, 1), Buffer.from("y")) }] }),
    /soft link/,
  ],
  [
    "an external link as a message",
    hdf5({ messages: [{ type: 0x06, body: join(le(1, 1, 8, 64, 1), Buffer.from("x"), le(2, 1), Buffer.from("y")) }] }),
    /external link/,
  ],
  ["dense links", hdf5({ messages: [{ type: 0x02, body: join(le(1, 0, 0), le(8, 512, 512)) }] }), /dense/],
  ["dense attributes", hdf5({ messages: [{ type: 0x15, body: join(le(1, 0, 0), le(8, 512, 512)) }] }), /dense/],
  ["an object in two places", hdf5({ members: { a: kernel, b: { link: 120 } } }), /somewhere else|no object header/],
  ["a shape without its bytes", with_({ shape: [2 ** 20, 2 ** 20] }), /needs 4398046511104 bytes/],
  ["… stored nowhere", with_({ layout: () => join(le(1, 3, 1), le(8, undefinedAddress, 24)) }), /has 0/],
  ["… stored beyond the file", with_({ layout: () => outside }), /leads to byte/],
  ["a shape beyond all numbers", with_({ shape: [2 ** 40, 2 ** 40] }), /shape/],
  ["bytes that belong to two", sharing(), /share bytes/],
  ["a shared type", with_({ messages: [{ type: 0x03, flags: 2, body: float32Type }] }), /shares types/],
  ["a continuation in itself", continuing(), /continues in itself/],
  ["no HDF5 at all", new Uint8Array(200), /no HDF5/],
  ["a file cut off", hdf5({ members: { w: kernel } }).slice(0, -8), /cut off/],
  ["nothing", new Uint8Array(0), /no HDF5/],
]
for (const [what, bytes, words] of hazards)
  test(`HDF5, refused: ${what}`, () => {
    assert.throws(() => openHdf5(bytes), { code: "MODEL_REFUSED", message: words })
  })

test("HDF5, refused: a group's index that leads back to itself", () => {
  const bytes = hdf5({ members: { a: kernel } })
  const tree = Buffer.from(bytes).indexOf("TREE")
  const looped = new Uint8Array(bytes)
  looped[tree + 5] = 1
  looped.set(le(8, tree), tree + 32)
  assert.throws(() => openHdf5(looped), { code: "MODEL_REFUSED", message: /leads back/ })
})

const dense = (name: string, units: number, more: object = {}): object => ({
  class_name: "Dense",
  config: { name, units, activation: "linear", use_bias: false, ...more },
})
const configOf = (...layers: readonly object[]): object => ({
  class_name: "Sequential",
  config: { name: "m", layers },
})
const simple = configOf(dense("one", 3, { batch_input_shape: [null, 2] }), dense("two", 3))
const [first, second] = [kernel, dataset([3, 3], new Float32Array(9))]

const legacy = (
  config: object,
  layers: Readonly<Record<string, Readonly<Record<string, DatasetParts>>>>,
  more: GroupParts["attributes"] = {},
): Bytes =>
  hdf5({
    attributes: { model_config: JSON.stringify(config), ...more },
    members: {
      model_weights: {
        attributes: { layer_names: Object.keys(layers) },
        members: Object.fromEntries(
          Object.entries(layers).map(([name, weights]) => [
            name,
            { attributes: { weight_names: Object.keys(weights) }, members: weights },
          ]),
        ),
      },
    },
  })
const open = (format: string, bytes: Bytes) => openFormat(format, "m", new Map([["m", bytes]]))
const refused = (format: string, bytes: Bytes, words: RegExp): void =>
  assert.throws(() => open(format, bytes), { code: "MODEL_REFUSED", message: words })

test(".h5: what is missing or no weight is said", () => {
  open("keras-h5", legacy(simple, { one: { k: first }, two: { k: second } }))
  refused("keras-h5", hdf5({ members: { w: kernel } }), /holds weights and no model/)
  refused("keras-h5", hdf5({ attributes: { model_config: JSON.stringify(simple) } }), /no model_weights/)
  refused("keras-h5", hdf5({ attributes: { model_config: "{" } }), /model_config/)
  const int64 = { shape: [1], type: int64Type, data: new Uint8Array(8) }
  refused("keras-h5", legacy(simple, { one: { k: int64 } }), /64-bit whole numbers/)
  const lying = hdf5({
    attributes: { model_config: JSON.stringify(simple) },
    members: {
      model_weights: {
        attributes: { layer_names: ["one"] },
        members: { one: { attributes: { weight_names: ["../../x"] } } },
      },
    },
  })
  refused("keras-h5", lying, /which is not there/)
})

for (const name of ["Lambda", "MyLayer", "my_package>MyLayer", "TFOpLambda"])
  test(`a layer that holds code is refused by its name: ${name}`, () => {
    const config = configOf({
      class_name: name,
      config: { name: "l", batch_input_shape: [null, 2], function: ["4wEAAA==", null, null] },
    })
    refused("keras-h5", legacy(config, {}), new RegExp(JSON.stringify(name)))
    refused("keras-v3", archive({ config }), new RegExp(JSON.stringify(name)))
  })

function archive({
  config = simple,
  layers,
  more = [],
}: {
  config?: object
  layers?: GroupParts["members"]
  more?: readonly MemberParts[]
}): Bytes {
  return zip([
    { name: "metadata.json", content: '{"keras_version":"3.15.1"}' },
    { name: "config.json", content: JSON.stringify(config) },
    { name: "model.weights.h5", content: hdf5({ members: { layers: { members: layers ?? {} } } }) },
    ...more,
  ])
}
const vars = (weights: readonly DatasetParts[], name?: string): GroupParts => ({
  members: {
    vars: {
      attributes: name === undefined ? {} : { name },
      members: Object.fromEntries(weights.map((one, at) => [String(at), one])),
    },
  },
})
const names = (bytes: Bytes): unknown => {
  const artifacts = open("keras-v3", bytes)
  return (
    artifacts.kind === "layers" && artifacts.weights.map(({ place, shape }) => [place?.path.join("/"), shape.join()])
  )
}

test(".keras: groups go by the layer's name where it is said, else by class and order", () => {
  const inOrder = [
    ["one", "2,3"],
    ["two", "3,3"],
  ]
  assert.deepEqual(names(archive({ layers: { dense: vars([first]), dense_1: vars([second]) } })), inOrder)
  // Said the other way round, whatever the groups are called.
  assert.deepEqual(names(archive({ layers: { dense_1: vars([first], "one"), dense: vars([second], "two") } })), inOrder)
  refused(
    "keras-v3",
    archive({ layers: { dense: vars([first], "one"), dense_1: vars([second], "three") } }),
    /belong to no layer/,
  )
  refused(
    "keras-v3",
    archive({ layers: { dense: vars([first], "one"), dense_1: vars([second], "one") } }),
    /two groups/,
  )
  refused("keras-v3", archive({ layers: { dense: vars([first]), dense_7: vars([second]) } }), /belong to no layer/)
  refused(
    "keras-v3",
    archive({ layers: { dense: vars([first]), dense_1: { members: { lora: vars([second]) } } } }),
    /not known/,
  )
})

test(".keras: what is not there", () => {
  const without = (name: string): Bytes =>
    zip(
      [
        { name: "metadata.json", content: "{}" },
        { name: "config.json", content: JSON.stringify(simple) },
        { name: "model.weights.h5", content: hdf5({}) },
      ].filter((member) => member.name !== name),
    )
  for (const name of ["metadata.json", "config.json", "model.weights.h5"])
    refused("keras-v3", without(name), new RegExp(name))
  refused(
    "keras-v3",
    zip([
      { name: "config.json", content: "{" },
      { name: "metadata.json", content: "{}" },
    ]),
    /config\.json/,
  )
})

const text = { name: "a", content: "hello hello hello hello" }
test("zip: stored and deflated members, with their sizes before or behind them", () => {
  const members = openZip(
    zip([
      text,
      { ...text, name: "b", deflate: true },
      { ...text, name: "c", later: true },
      { ...text, name: "d", deflate: true, later: true },
    ]),
  )
  assert.deepEqual(
    [...members].map(([name, read]) => [name, Buffer.from(read()).toString()]),
    ["a", "b", "c", "d"].map((name) => [name, text.content]),
  )
})

const zips: readonly (readonly [what: string, bytes: Bytes, words: RegExp])[] = [
  ["a bomb", zip([{ name: "a", content: new Uint8Array(100), deflate: true, size: 2 ** 31 }]), /says that it becomes/],
  ["more than was said", zip([{ name: "a", content: new Uint8Array(5000), deflate: true, size: 100 }]), /inflated/],
  ["less than was said", zip([{ name: "a", content: new Uint8Array(100), deflate: true, size: 200 }]), /checksum/],
  ["another size when stored", zip([{ ...text, size: 5 }]), /says that it becomes/],
  ["another checksum", zip([{ ...text, crc: 1 }]), /checksum/],
  ["an encrypted member", zip([{ ...text, flags: 1 }]), /flags 1/],
  ["another method", zip([{ ...text, method: 93 }]), /method 93/],
  ["two members of one name", zip([text, text]), /two members/],
  ["a member over another", zip([text, { ...text, name: "b", offset: 0 }]), /directory says|over another/],
  ["another name in the local header", zip([{ ...text, localName: "b" }]), /directory says/],
  ["a member beyond the directory", zip([{ ...text, offset: 2 ** 31 }]), /no header/],
  ["a comment", zip([text], "PK"), /comment/],
  ["something before its end", join(zip([text]), new Uint8Array(3)), /no zip archive/],
  ["a directory that is shorter", patched(zip([text]), le(2, 1, 1), le(2, 0, 0)), /behind its entries|parts/],
  ["nothing", new Uint8Array(0), /no zip archive/],
]
for (const [what, bytes, words] of zips)
  test(`zip, refused: ${what}`, () => {
    assert.throws(
      () => {
        for (const read of openZip(bytes).values()) read()
      },
      { code: "MODEL_REFUSED", message: words },
    )
  })
