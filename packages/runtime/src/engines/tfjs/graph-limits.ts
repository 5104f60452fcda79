/** What a backend does not compute right of a graph: as wasm-limits.ts and tfjs-limits.ts have it for layers. */
import type { GraphArtifacts, GraphNode } from "../../formats/tfjs-graph.ts"
import { EngineWrong } from "../engine.ts"
import { narrowWindow } from "./layer-limits.ts"

const planar = new Set(["Conv2D", "_FusedConv2D", "DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"])
const volumes = new Set(["Conv3D", "AvgPool3D", "MaxPool3D"])

/** Throws EngineWrong. */
export function requireGraphRight(backend: string, { nodes, weights }: GraphArtifacts): void {
  const shapes = new Map(weights.map(({ name, shape }) => [name, shape]))
  for (const node of nodes) {
    const why = whyWrong(backend, node, shapes)
    if (why !== null) throw new EngineWrong(`it is wrong for node ${node.name} (${node.op}): ${why}`)
  }
}

function whyWrong(backend: string, node: GraphNode, shapes: ReadonlyMap<string, readonly number[]>): string | null {
  const { op, attributes } = node
  if (backend === "wasm" && op === "MaxPool3D") return "its kernel begins at the smallest positive number"
  const asked = volumes.has(op) || (backend === "wasm" && planar.has(op))
  if (!asked || textOf(attributes["padding"]) !== "SAME") return null
  const strides = numbersOf(attributes["strides"])
  const window = numbersOf(attributes["ksize"])
  const kernel = window.length > 0 ? window.slice(1, -1) : (shapes.get(node.inputs[1] ?? "") ?? []).slice(0, -2)
  // Of a kernel that is no constant nothing is known.
  const isNarrow = strides.slice(1, -1).some((stride, axis) => (kernel[axis] ?? 0) < stride)
  return isNarrow ? narrowWindow : null
}

/** Protobuf's JSON has bytes as base64, or as a list of their numbers. */
function textOf(attribute: unknown): string {
  const { s } = (attribute ?? {}) as { readonly s?: unknown }
  if (Array.isArray(s)) return String.fromCharCode(...(s as number[]))
  return typeof s === "string" ? Buffer.from(s, "base64").toString("latin1") : ""
}

function numbersOf(attribute: unknown): number[] {
  const { list } = (attribute ?? {}) as { readonly list?: { readonly i?: unknown } }
  return Array.isArray(list?.i) ? list.i.map(Number) : []
}
