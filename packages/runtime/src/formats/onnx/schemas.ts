/** The messages of an ONNX file (onnx/onnx.proto of ONNX 1.20, IR version 13), as far as inference needs them. */
import { type Schema, schemaOf } from "./protobuf.ts"

export const modelSchema: Schema = schemaOf("ModelProto", {
  1: "int", // ir_version
  2: "bytes", // producer_name
  3: "bytes", // producer_version
  4: "bytes", // domain
  5: "int", // model_version
  6: "bytes", // doc_string
  7: "bytes", // graph
  8: "bytes*", // opset_import
  14: "bytes*", // metadata_props
  20: "bytes*", // training_info
  25: "bytes*", // functions
  26: "bytes*", // configuration
})

export const opsetSchema: Schema = schemaOf("OperatorSetIdProto", { 1: "bytes", 2: "int" })

export const graphSchema: Schema = schemaOf("GraphProto", {
  1: "bytes*", // node
  2: "bytes", // name
  5: "bytes*", // initializer
  10: "bytes", // doc_string
  11: "bytes*", // input
  12: "bytes*", // output
  13: "bytes*", // value_info
  14: "bytes*", // quantization_annotation
  15: "bytes*", // sparse_initializer
  16: "bytes*", // metadata_props
})

export const nodeSchema: Schema = schemaOf("NodeProto", {
  1: "bytes*", // input
  2: "bytes*", // output
  3: "bytes", // name
  4: "bytes", // op_type
  5: "bytes*", // attribute
  6: "bytes", // doc_string
  7: "bytes", // domain
  8: "bytes", // overload
  9: "bytes*", // metadata_props
  10: "bytes*", // device_configurations
})

export const attributeSchema: Schema = schemaOf("AttributeProto", {
  1: "bytes", // name
  2: "float", // f
  3: "int", // i
  4: "bytes", // s
  5: "bytes", // t
  6: "bytes", // g
  7: "float*", // floats
  8: "int*", // ints
  9: "bytes*", // strings
  10: "bytes*", // tensors
  11: "bytes*", // graphs
  13: "bytes", // doc_string
  14: "bytes", // tp
  15: "bytes*", // type_protos
  20: "int", // type
  21: "bytes", // ref_attr_name
  22: "bytes", // sparse_tensor
  23: "bytes*", // sparse_tensors
})

export const tensorSchema: Schema = schemaOf("TensorProto", {
  1: "int*", // dims
  2: "int", // data_type
  3: "bytes", // segment
  4: "float*", // float_data
  5: "int*", // int32_data
  6: "bytes*", // string_data
  7: "int*", // int64_data
  8: "bytes", // name
  9: "bytes", // raw_data
  10: "double*", // double_data
  11: "int*", // uint64_data
  12: "bytes", // doc_string
  13: "bytes*", // external_data
  14: "int", // data_location
  16: "bytes*", // metadata_props
})

export const sparseTensorSchema: Schema = schemaOf("SparseTensorProto", { 1: "bytes", 2: "bytes", 3: "int*" })

export const valueInfoSchema: Schema = schemaOf("ValueInfoProto", {
  1: "bytes", // name
  2: "bytes", // type
  3: "bytes", // doc_string
  4: "bytes*", // metadata_props
})

/** A oneof; 6 is the denotation. */
export const typeSchema: Schema = schemaOf("TypeProto", {
  1: "bytes", // tensor_type
  4: "bytes", // sequence_type
  5: "bytes", // map_type
  6: "bytes", // denotation
  7: "bytes", // opaque_type
  8: "bytes", // sparse_tensor_type
  9: "bytes", // optional_type
})
export const tensorTypeSchema: Schema = schemaOf("TypeProto.Tensor", { 1: "int", 2: "bytes" })
export const shapeSchema: Schema = schemaOf("TensorShapeProto", { 1: "bytes*" })
export const dimensionSchema: Schema = schemaOf("TensorShapeProto.Dimension", { 1: "int", 2: "bytes", 3: "bytes" })

/** TensorProto.DataType: what `onnxruntime` calls it, and bits of one element in raw_data. */
export const elementTypes: Readonly<Record<number, readonly [name: string, bits: number]>> = {
  1: ["float32", 32],
  2: ["uint8", 8],
  3: ["int8", 8],
  4: ["uint16", 16],
  5: ["int16", 16],
  6: ["int32", 32],
  7: ["int64", 64],
  8: ["string", 0],
  9: ["bool", 8],
  10: ["float16", 16],
  11: ["float64", 64],
  12: ["uint32", 32],
  13: ["uint64", 64],
  14: ["complex64", 64],
  15: ["complex128", 128],
  16: ["bfloat16", 16],
  17: ["float8e4m3fn", 8],
  18: ["float8e4m3fnuz", 8],
  19: ["float8e5m2", 8],
  20: ["float8e5m2fnuz", 8],
  21: ["uint4", 4],
  22: ["int4", 4],
  23: ["float4e2m1", 4],
  24: ["float8e8m0", 8],
  25: ["uint2", 2],
  26: ["int2", 2],
}
