/**
 * An ONNX model (onnx.ai/onnx/repo-docs/IR.html), walked strictly before its runtime sees a byte.
 *
 * The runtime reads external data from the process's working directory, even for a model that it was given as bytes; it
 * takes operators of anybody's libraries, and makes whatever tensor a shape asks for. So: one file that holds all of its
 * numbers, standard operators, tensors in and out, declared sizes against the bytes that are there. Weights are not read,
 * only stepped over.
 */
import { messageOf, refused, RuntimeError } from "../../errors.ts"
import { walkGraph } from "./graph.ts"
import { requireKnownDomain } from "./graph.ts"
import { readFields, readText, type Span } from "./protobuf.ts"
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
  const bytes = files.get(entrypoint)
  if (!bytes) throw refused(`entrypoint ${entrypoint} is not a file of the signed manifest`)
  if (bytes.length > maxBytes)
    throw refused(`${entrypoint} has ${bytes.length} bytes; an ONNX file ends at ${maxBytes}`)
  try {
    return { kind: "onnx", bytes, ...walkModel({ bytes, start: 0, end: bytes.length }) }
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error
    const { hint } = error
    throw refused(`${entrypoint}: ${messageOf(error)}`, { cause: error, ...(hint === undefined ? {} : { hint }) })
  }
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

function checkOpset(span: Span): number {
  readFields(span, opsetSchema, (field, value) => {
    if (field === 1 && typeof value !== "number") requireImportable(readText(value, "a domain"))
  })
  return 1
}

// Exporters declare domains that no node uses; what a node uses is checked there.
function requireImportable(domain: string): void {
  if (/^(?:[a-z0-9_.-]*)$/i.test(domain)) return
  requireKnownDomain(domain, "an imported operator set")
}

function tensorOf(what: string, { name, type }: ValueInfo): OnnxTensor {
  if (type.kind === "tensor") return { name, dtype: type.dtype, shape: type.shape }
  const kind = type.kind === "unknown" ? "of no declared type" : `a ${type.kind}`
  throw refused(`${what} ${JSON.stringify(name)} is ${kind}; models take and answer tensors`)
}
