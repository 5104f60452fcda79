/** Which formats this version opens. A new one is a file or folder beside this and a line here. */
import { refused } from "../errors.ts"
import { openKerasH5 } from "./keras/keras-h5.ts"
import { openKerasV3 } from "./keras/keras-v3.ts"
import { type OnnxArtifacts, openOnnx } from "./onnx/onnx.ts"
import { type GraphArtifacts, openTfjsGraph } from "./tfjs-graph.ts"
import { type LayersArtifacts, openTfjsLayers } from "./tfjs-layers.ts"

/** What an engine loads: the files of a model, read by our own strict parser, and nothing else. */
export type Artifacts = LayersArtifacts | GraphArtifacts | OnnxArtifacts

type Open = (entrypoint: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) => Artifacts

const openers: Readonly<Record<string, Open>> = {
  "tfjs-layers": openTfjsLayers,
  "tfjs-graph": openTfjsGraph,
  "keras-h5": openKerasH5,
  "keras-v3": openKerasV3,
  onnx: openOnnx,
}

export const supportedFormats: readonly string[] = Object.keys(openers)

/** Throws MODEL_REFUSED. */
export function requireSupported(format: string): void {
  if (Object.hasOwn(openers, format)) return
  if (format === "saved-model")
    throw refused("a SavedModel is code: its graph may read and write files of whoever runs it, so none is loaded", {
      hint: 'save the model with Keras as .keras or .h5, or convert it: tensorflowjs_converter --input_format=tf_saved_model --output_format=tfjs_graph_model DIR OUT; "weighlock pull" brings the verified files to another runtime',
    })
  throw refused(`format ${format} cannot be loaded by this version; supported: ${supportedFormats.join(", ")}`, {
    hint: "`weighlock pull` brings the verified files to another runtime",
  })
}

/** Throws MODEL_REFUSED. */
export function openFormat(
  format: string,
  entrypoint: string | undefined,
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): Artifacts {
  requireSupported(format)
  const open = openers[format]
  if (open === undefined || entrypoint === undefined) throw refused("the manifest names no entrypoint")
  return open(entrypoint, files)
}
