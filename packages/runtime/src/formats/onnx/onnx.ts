/**
 * An ONNX model (onnx.ai/onnx/repo-docs/IR.html), walked strictly before its runtime sees a byte.
 *
 * The runtime reads external data from the process's working directory, even for a model that it was given as bytes; it
 * takes operators of anybody's libraries, and makes whatever tensor a shape asks for. So: one file that holds all of its
 * numbers, standard operators, tensors in and out, declared sizes against the bytes that are there. Weights are not read,
 * only stepped over.
 */
import { refused } from "../../errors.ts"
import { inFile } from "../in-file.ts"
import { walkGraph } from "./graph.ts"
import { readFields, type Span } from "./protobuf.ts"
import { modelSchema, opsetSchema } from "./schemas.ts"
import type { ValueInfo } from "./value-info.ts"

export interface OnnxArtifacts {
  readonly kind: "onnx"
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly inputs: readonly OnnxTensor[]
  readonly outputs: readonly OnnxTensor[]
}

/** As the file declares it, the batch with it. */
export interface OnnxTensor {
  readonly name: string
  /** As TensorProto.DataType, in lower case: "float32", "bfloat16"; `null` where the file leaves it out. */
  readonly dtype: string | null
  /** `null` where even the rank is left open. */
  readonly shape: readonly (number | null)[] | null
}

/** protobuf's own limit. */
const maxBytes = 2 ** 31 - 1

/** Throws MODEL_REFUSED. */
export function openOnnx(entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): OnnxArtifacts {
  return inFile(entrypoint, files, (bytes) => {
    if (bytes.length > maxBytes) throw refused(`it has ${bytes.length} bytes; an ONNX file ends at ${maxBytes}`)
    return { kind: "onnx", bytes, ...walkModel({ bytes, start: 0, end: bytes.length }) }
  })
}

function walkModel(span: Span): Pick<OnnxArtifacts, "inputs" | "outputs"> {
  let graph: Span | null = null
  let opsets = 0
  readFields(span, modelSchema, (field, value) => {
    if (typeof value === "number") return
    if (field === 7) graph = value
    else if (field === 8) opsets += checkOpset(value)
    else if (field === 20) throw refused("it holds a training graph", { hint: "export it for inference" })
    else if (field === 25) {
      throw refused("it has functions of its own", {
        hint: "inline them: onnx.inliner.inline_local_functions(model)",
      })
    }
  })
  if (graph === null || opsets === 0) throw refused("it is no ONNX model: no graph, or no opset_import")
  const { inputs, outputs } = walkGraph(graph, { nodes: 0, integers: new Map() })
  if (outputs.length === 0) throw refused("its graph has no outputs")
  return {
    inputs: inputs.map((value) => tensorOf("input", value)),
    outputs: outputs.map((value) => tensorOf("output", value)),
  }
}

/** Exporters declare domains that no node uses: what a node uses is checked there. */
function checkOpset(span: Span): number {
  readFields(span, opsetSchema, () => undefined)
  return 1
}

function tensorOf(what: string, { name, type }: ValueInfo): OnnxTensor {
  if (type.kind === "tensor") return { name, dtype: type.dtype, shape: type.shape }
  const kind = type.kind === "unknown" ? "of no declared type" : `a ${type.kind}`
  throw refused(`${what} ${JSON.stringify(name)} is ${kind}; models take and answer tensors`)
}
