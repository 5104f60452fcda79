/**
 * A walk over a GraphProto and all that lies in it: its nodes, their attributes, the graphs and tensors in those.
 *
 *     node { op_type "Gemm", domain "", input ["x", "w0", "b0"], output ["g0"] }
 */
import { refused } from "../../errors.ts"
import { maxElements } from "../../tensors.ts"
import { type FieldValue, readFields, readInts, readText, type Span } from "./protobuf.ts"
import { attributeSchema, graphSchema, nodeSchema } from "./schemas.ts"
import { checkTensor } from "./tensor.ts"
import { checkType, readValueInfo, type ValueInfo } from "./value-info.ts"

/** Graphs within graphs, as If and Loop have them. */
const maxDepth = 16
const maxNodes = 1_000_000

export interface GraphFacts {
  /** Without those that an initializer gives a value. */
  readonly inputs: readonly ValueInfo[]
  readonly outputs: readonly ValueInfo[]
}

/** What one file's graphs have in common. */
export interface Walk {
  nodes: number
  /** Short lists of integers that stand in the file, by name: shapes, above all. */
  readonly integers: Map<string, readonly number[]>
}

/** Throws MODEL_REFUSED. */
export function walkGraph(span: Span, walk: Walk, depth = 1): GraphFacts {
  if (depth > maxDepth) throw refused(`its graphs lie more than ${maxDepth} deep in each other`)
  const [inputs, outputs, nodes]: [ValueInfo[], ValueInfo[], Span[]] = [[], [], []]
  const given = new Set<string>()
  readFields(span, graphSchema, (field, value) => {
    if (typeof value === "number") return
    if (field === 1) nodes.push(value)
    else if (field === 5) given.add(takeInitializer(value, walk))
    else if (field === 11) inputs.push(readValueInfo(value))
    else if (field === 12) outputs.push(readValueInfo(value))
    else if (field === 13) readValueInfo(value)
    else if (field === 15) throw refused("sparse weights are not supported", { hint: "save them as dense tensors" })
  })
  // Initializers may stand behind the nodes that use them.
  for (const node of nodes) walkNode(node, walk, depth)
  return { inputs: inputs.filter(({ name }) => !given.has(name)), outputs }
}

function takeInitializer(span: Span, { integers }: Walk): string {
  const { name, integers: values } = checkTensor(span, "the graph")
  if (values !== null) integers.set(name, values)
  return name
}

interface Node {
  op: string
  domain: string
  readonly inputs: string[]
  readonly outputs: string[]
  readonly attributes: Map<string, readonly number[]>
}

function walkNode(span: Span, walk: Walk, depth: number): void {
  if (++walk.nodes > maxNodes) throw refused(`it has more than ${maxNodes} nodes`)
  const node: Node = { op: "", domain: "", inputs: [], outputs: [], attributes: new Map() }
  const attributes: Span[] = []
  readFields(span, nodeSchema, (field, value) => {
    if (typeof value === "number") return
    if (field === 1) node.inputs.push(readText(value, "a node's input"))
    else if (field === 2) node.outputs.push(readText(value, "a node's output"))
    else if (field === 4) node.op = readText(value, "op_type")
    else if (field === 5) attributes.push(value)
    else if (field === 7) node.domain = readText(value, "a node's domain")
  })
  requireKnownDomain(node.domain, `operator ${node.op}`)
  requireNoZipMap(node)
  for (const attribute of attributes) walkAttribute(attribute, node, walk, depth)
  requireSaneShape(node, walk)
}

/** Operators of others are code that this runtime does not know. Throws MODEL_REFUSED. */
export function requireKnownDomain(domain: string, what: string): void {
  if (["", "ai.onnx", "ai.onnx.ml"].includes(domain)) return
  throw refused(`${what} is of the domain ${JSON.stringify(domain)}; those of ai.onnx and ai.onnx.ml are loaded`, {
    hint: "export the model with standard operators only, and without the optimisations of one runtime",
  })
}

function requireNoZipMap({ op, domain }: Node): void {
  if (op !== "ZipMap" || domain !== "ai.onnx.ml") return
  throw refused("its answers are maps (ZipMap), not tensors", {
    hint: "convert with skl2onnx again: to_onnx(model, X, options={'zipmap': False})",
  })
}

function walkAttribute(span: Span, node: Node, walk: Walk, depth: number): void {
  let name = ""
  const where = `operator ${node.op}`
  const ints: number[] = []
  let tensor: readonly number[] | null = null
  readFields(span, attributeSchema, (field, value) => {
    if (field === 8 && ints.length < 64) ints.push(...integersOf(value))
    if (typeof value === "number") return
    if (field === 1) name = readText(value, "an attribute's name")
    else if (field === 5 || field === 10) tensor = checkTensor(value, where).integers
    else if (field === 6 || field === 11) walkGraph(value, walk, depth + 1)
    else if (field === 14 || field === 15) checkType(value)
    else if (field === 22 || field === 23) throw refused(`${where} has a sparse tensor, which is not supported`)
    else if (field === 21) throw refused(`${where} refers to an attribute of a function`)
  })
  node.attributes.set(name, ints)
  const [output] = node.outputs
  if (node.op !== "Constant" || output === undefined) return
  if (tensor !== null) walk.integers.set(output, tensor)
  else if (name === "value_ints") walk.integers.set(output, ints)
}

function integersOf(value: FieldValue): number[] {
  if (typeof value === "number") return [value]
  return value.end - value.start > 640 ? [] : readInts(value, "ints")
}

/** Operators that make much out of a shape that stands in the file: the runtime would make it while it loads. */
function requireSaneShape({ op, inputs, attributes }: Node, { integers }: Walk): void {
  const shape = /^Random(Normal|Uniform)$/.test(op)
    ? attributes.get("shape")
    : op === "ConstantOfShape"
      ? integers.get(inputs[0] ?? "")
      : op === "Expand" || op === "Tile"
        ? integers.get(inputs[1] ?? "")
        : undefined
  if (shape === undefined) return
  const elements = shape.reduce((product, size) => product * Math.max(1, size), 1)
  if (elements > maxElements) throw refused(`operator ${op} would make a tensor of shape [${shape.join(",")}]`)
}
