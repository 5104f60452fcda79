/**
 * A tfjs-graph model, what tensorflowjs_converter makes of a SavedModel: `model.json` with the nodes of a TensorFlow graph,
 * and the weight files it names.
 *
 *     { "format": "graph-model", "signature": { "inputs": { "image": { "name": "image:0", "dtype": "DT_FLOAT", "tensorShape":
 *       { "dim": [{ "size": "-1" }, { "size": "784" }] } } }, "outputs": { … } },
 *       "modelTopology": { "node": [{ "name": "Identity", "op": "Identity", "input": ["…/Softmax"] }, …] },
 *       "weightsManifest": [ … ] }
 *
 * Checked before the library sees it: known operations only, no functions and no tables, every input a node that is there,
 * no circle, every constant a weight of its shape.
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import type { DType } from "../dtypes.ts"
import { refused } from "../errors.ts"
import type { TensorSpec } from "../tensors.ts"
import { knownOps } from "./graph-ops.ts"
import { asArray, asName, asObject } from "./json-fields.ts"
import { readModelJson } from "./model-json.ts"
import { openWeights, type Weight } from "./weights.ts"

export interface GraphArtifacts {
  readonly kind: "graph"
  /** GraphDef as JSON, for the library. */
  readonly topology: JsonObject
  readonly nodes: readonly GraphNode[]
  readonly weights: readonly Weight[]
  readonly inputs: readonly GraphTensor[]
  readonly outputs: readonly GraphTensor[]
}

export interface GraphNode {
  readonly name: string
  readonly op: string
  /** Names of nodes. */
  readonly inputs: readonly string[]
  readonly attributes: JsonObject
}

/** What callers call it, with the batch in its shape; and what the graph calls it. */
export interface GraphTensor extends TensorSpec {
  readonly node: string
}

const maxNodes = 100_000
const maxRank = 8
const dtypes: Readonly<Record<string, DType>> = {
  DT_FLOAT: "float32",
  "1": "float32",
  DT_INT32: "int32",
  "3": "int32",
  DT_INT64: "int32",
  "9": "int32",
  DT_BOOL: "bool",
  "10": "bool",
}

/** Throws MODEL_REFUSED. */
export function openTfjsGraph(entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): GraphArtifacts {
  const { model, folder, others } = readModelJson(entrypoint, files, "graph-model")
  if (model["modelInitializer"] !== undefined || model["initializerSignature"] !== undefined)
    throw refused("the graph has tables that are filled when it is loaded, which are not supported")
  const topology = asObject(model["modelTopology"], "modelTopology")
  requireNoFunctions(topology)
  const nodes = asArray(topology["node"], "node", maxNodes).map(openNode)
  const weights = openWeights(model["weightsManifest"], folder, others)
  requireGraph(nodes, weights)
  // The library looks into the versions, which say nothing of the graph.
  const versioned = { ...topology, versions: { producer: 0 } }
  return { kind: "graph", topology: versioned, nodes, weights, ...tensorsOf(model, nodes) }
}

function requireNoFunctions({ library }: JsonObject): void {
  if (library === undefined || library === null) return
  const { function: functions } = asObject(library, "library")
  if (functions === undefined || (Array.isArray(functions) && functions.length === 0)) return
  throw refused("the graph has functions of its own, which are not supported", {
    hint: "convert it again with frozen weights and without control flow",
  })
}

function openNode(value: JsonValue): GraphNode {
  const node = asObject(value, "a node")
  const name = asName(node["name"], "a node's name")
  const op = asName(node["op"], `op of ${name}`)
  if (!knownOps.has(op))
    throw refused(`node ${name}: operation ${op} is not supported`, {
      hint: "control flow, tables, strings, lists and random numbers are not; leave them out of what is converted",
    })
  const inputs = node["input"] === undefined ? [] : asArray(node["input"], `input of ${name}`, maxNodes)
  const attributes = node["attr"] === undefined ? {} : asObject(node["attr"], `attr of ${name}`)
  return { name, op, inputs: inputs.map((input) => nodeOf(asName(input, `input of ${name}`))), attributes }
}

/** `^x` waits for a node, and `x:1` is its second output. */
function nodeOf(input: string): string {
  return input.replace(/^\^/, "").replace(/:\d{1,4}$/, "")
}

function requireGraph(nodes: readonly GraphNode[], weights: readonly Weight[]): void {
  const byName = new Map<string, GraphNode>()
  for (const node of nodes) {
    if (byName.has(node.name)) throw refused(`two nodes are called ${node.name}`)
    byName.set(node.name, node)
  }
  requireOrder(byName)
  const unused = new Map(weights.map((weight) => [weight.name, weight]))
  for (const { name, op } of nodes)
    if (op === "Const" && !unused.delete(name)) throw refused(`the weight files hold no weight ${name}`)
  const [left] = unused.keys()
  if (left !== undefined) throw refused(`weight ${left} belongs to no node`)
}

/** Every input is there, and no node is its own. */
function requireOrder(nodes: ReadonlyMap<string, GraphNode>): void {
  const waiting = new Map<string, number>()
  const users = new Map<string, string[]>()
  for (const { name, inputs } of nodes.values()) {
    waiting.set(name, inputs.length)
    for (const input of inputs) {
      if (!nodes.has(input)) throw refused(`node ${name} has the input ${input}, which is not there`)
      const known = users.get(input)
      if (known) known.push(name)
      else users.set(input, [name])
    }
  }
  const ready = [...waiting].flatMap(([name, count]) => (count === 0 ? [name] : []))
  let done = 0
  for (let name = ready.pop(); name !== undefined; name = ready.pop(), done++)
    for (const user of users.get(name) ?? []) {
      const left = (waiting.get(user) ?? 0) - 1
      waiting.set(user, left)
      if (left === 0) ready.push(user)
    }
  if (done < nodes.size) throw refused("nodes of the graph wait for each other in a circle")
}

function tensorsOf(model: JsonObject, nodes: readonly GraphNode[]): Pick<GraphArtifacts, "inputs" | "outputs"> {
  const signature = model["signature"] ?? asObject(model["userDefinedMetadata"] ?? {}, "metadata")["signature"]
  const placeholders = nodes.filter(({ op }) => op === "Placeholder")
  const fields = signature === undefined || signature === null ? {} : asObject(signature, "signature")
  const inputs = fields["inputs"] === undefined ? placeholders.map(fromPlaceholder) : named(fields["inputs"], nodes)
  const outputs = fields["outputs"] === undefined ? leavesOf(nodes) : named(fields["outputs"], nodes)
  const given = new Set(inputs.map(({ node }) => nodeOf(node)))
  const missing = placeholders.find(({ name }) => !given.has(name))
  if (missing !== undefined) throw refused(`the graph asks for ${missing.name}, which is no input of its signature`)
  if (outputs.length === 0) throw refused("the graph has no outputs")
  return { inputs, outputs }
}

function named(value: JsonValue | undefined, nodes: readonly GraphNode[]): GraphTensor[] {
  const known = new Set(nodes.map(({ name }) => name))
  return Object.entries(asObject(value, "signature")).map(([name, info]) => {
    const { name: tensor, dtype, tensorShape } = asObject(info, `signature of ${name}`)
    const node = asName(tensor, `name of ${name}`)
    if (!known.has(nodeOf(node))) throw refused(`the signature names ${node}, which is no node`)
    return { name: asName(name, "a name"), node, dtype: dtypeOf(dtype, name), shape: shapeOf(tensorShape, name) }
  })
}

function fromPlaceholder({ name, attributes }: GraphNode): GraphTensor {
  const { dtype, shape } = attributes
  const type = asObject(dtype ?? {}, `dtype of ${name}`)["type"]
  const sizes = asObject(shape ?? {}, `shape of ${name}`)["shape"]
  return { name, node: name, dtype: dtypeOf(type, name), shape: shapeOf(sizes, name) }
}

/** Nodes that nobody uses; what they make shows when they are asked. */
function leavesOf(nodes: readonly GraphNode[]): GraphTensor[] {
  const used = new Set(nodes.flatMap(({ inputs }) => inputs))
  return nodes
    .filter(({ name, op }) => !used.has(name) && op !== "NoOp" && op !== "Const")
    .map(({ name }) => ({ name, node: name, dtype: "float32", shape: [null] }))
}

function dtypeOf(value: JsonValue | undefined, name: string): DType {
  const dtype = typeof value === "string" || typeof value === "number" ? dtypes[String(value)] : undefined
  if (dtype === undefined) throw refused(`${name} is of type ${JSON.stringify(value)}, which is not supported`)
  return dtype
}

function shapeOf(value: JsonValue | undefined, name: string): (number | null)[] {
  const { dim, unknownRank } = asObject(value ?? {}, `shape of ${name}`)
  if (unknownRank === true) throw refused(`${name} declares no shape`)
  return asArray(dim ?? [], `shape of ${name}`, maxRank).map((one) => {
    const size = Number(asObject(one, `shape of ${name}`)["size"] ?? 0)
    if (!Number.isSafeInteger(size) || size < -1) throw refused(`${name} has a size of ${size}`)
    return size > 0 ? size : null
  })
}
