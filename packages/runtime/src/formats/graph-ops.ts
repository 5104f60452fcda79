/**
 * The operations of a tfjs-graph model that are loaded: those of tfjs-converter 4.22 whose answer depends on the question
 * alone, and whose shape is known before they run. Control flow, tables, strings, lists and chance are not among them.
 */
const names = `
  Add AddV2 AddN BiasAdd Sub RealDiv Div DivNoNan FloorDiv Mul Maximum Minimum Pow SquaredDifference Mod FloorMod
  Abs Acos Asin Atan Atan2 Ceil ClipByValue Cos Cosh Elu Exp Floor Log Neg Prelu Relu Relu6 Selu Sigmoid Sin Sinh Sqrt
  Rsqrt Square Tan Tanh Sign Round Expm1 Log1p Reciprocal Softplus Asinh Acosh Atanh Erf LeakyRelu IsNan IsFinite IsInf
  AvgPool MaxPool AvgPool3D MaxPool3D Conv1D Conv2D _FusedConv2D Conv2DBackpropInput DepthwiseConv2d
  DepthwiseConv2dNative FusedDepthwiseConv2dNative Conv3D
  Fill LinSpace OneHot Ones OnesLike Range Zeros ZerosLike TopKV2
  Placeholder Const Identity IdentityN Snapshot Rank Size Shape ShapeN NoOp StopGradient
  ResizeBilinear ResizeNearestNeighbor
  Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalNot LogicalOr Select SelectV2
  _FusedMatMul MatMul BatchMatMul BatchMatMulV2 Transpose Einsum
  EuclideanNorm FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LRN Softmax LogSoftmax
  Max Mean Min Sum All Any ArgMax ArgMin Prod Cumprod Cumsum
  ConcatV2 Concat GatherV2 Gather Reverse ReverseV2 Slice StridedSlice Pack Unpack Tile Split SplitV ScatterNd GatherNd
  Cast ExpandDims MirrorPad Pad PadV2 Reshape EnsureShape Squeeze SpaceToBatchND BatchToSpaceND DepthToSpace BroadcastTo`

export const knownOps: ReadonlySet<string> = new Set(names.trim().split(/\s+/))
