/** From the bytes of a question to the bytes of its answer, in the engine's thread. */
import { leastBytes, writeAnswer } from "../answer-body.ts"
import { requireStructure } from "../body-structure.ts"
import { RuntimeError } from "../errors.ts"
import { readInstance, readQuestion } from "../predict-body.ts"
import { elementsIn, packBatch, type TensorSpec } from "../tensors.ts"
import type { LoadedModel } from "./engine.ts"
import type { AnswerReply, AnswerRequest } from "./messages.ts"

/** Throws INPUT_INVALID, TOO_LARGE, OUTPUT_INVALID. */
export async function answerBody(model: LoadedModel, request: AnswerRequest): Promise<AnswerReply> {
  requireStructure(request.body, model.inputs, request.maxRows)
  const { form, rows, columns } = request.single
    ? readInstance(request.body, model.inputs)
    : readQuestion(request.body, model.inputs, request.maxRows)
  requireAnswerRoom(model.outputs, rows, request.maxAnswer)
  const batch = model.inputs.map((spec, index) => packBatch(spec, columns[index] ?? []))
  return writeAnswer(form, model.outputs, await model.predict(batch), request.maxAnswer)
}

// An answer that can't fit is not computed.
function requireAnswerRoom(outputs: readonly TensorSpec[], rows: number, maxAnswer: number): void {
  const each = outputs.reduce((total, { shape }) => total + elementsIn(shape.map((size) => size ?? 1)), 0)
  if (leastBytes(each * rows) <= maxAnswer) return
  throw new RuntimeError("OUTPUT_INVALID", `${rows} rows make an answer of more than ${maxAnswer} bytes as JSON`, {
    hint: "ask with fewer rows",
  })
}
