/** What TF Serving tells about a model: its status, and its signature as protobuf JSON. */
import type { DType } from "../dtypes.ts"
import type { Model } from "../model.ts"
import type { TensorSpec } from "../tensors.ts"

const protoTypes: Record<DType, string> = {
  float32: "DT_FLOAT",
  float64: "DT_DOUBLE",
  float16: "DT_HALF",
  int8: "DT_INT8",
  uint8: "DT_UINT8",
  int16: "DT_INT16",
  uint16: "DT_UINT16",
  int32: "DT_INT32",
  uint32: "DT_UINT32",
  int64: "DT_INT64",
  uint64: "DT_UINT64",
  bool: "DT_BOOL",
  string: "DT_STRING",
}

export function statusDocument(model: Model): object {
  const { failure } = model
  const status = failure
    ? { error_code: "UNAVAILABLE", error_message: failure.message }
    : { error_code: "OK", error_message: "" }
  const state = failure === null ? "AVAILABLE" : failure.code === "ENGINE_STUCK" ? "END" : "LOADING"
  return { model_version_status: [{ version: model.manifest.version, state, status }] }
}

export function metadataDocument(name: string, model: Model): object {
  const serving_default = {
    inputs: Object.fromEntries(model.inputs.map((spec) => [spec.name, tensorInfo(spec)])),
    outputs: Object.fromEntries(model.outputs.map((spec) => [spec.name, tensorInfo(spec)])),
    method_name: "tensorflow/serving/predict",
  }
  return {
    model_spec: { name, signature_name: "", version: model.manifest.version },
    metadata: { signature_def: { signature_def: { serving_default } } },
  }
}

// -1 is any size; the batch comes first. Protobuf JSON writes int64 as text.
function tensorInfo({ name, shape, dtype }: TensorSpec): object {
  const dim = [null, ...shape].map((size) => ({ size: String(size ?? -1), name: "" }))
  return { dtype: protoTypes[dtype], tensor_shape: { dim, unknown_rank: false }, name }
}
