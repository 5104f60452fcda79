export type { EngineReport, GoldenReport, PassedOver } from "./engines/report.ts"
export {
  addEngine,
  type EngineState,
  listEngines,
  lockEngines,
  removeEngine,
  type VerifiedEngine,
  verifyEngines,
} from "./engines/installed/manage.ts"
export { engineNames } from "./engines/choose.ts"
/** What is thrown besides RuntimeError: by fetching, and by what is verified. All of them are CodedErrors. */
export { ClientError } from "@weighlock/client/errors"
export { CodedError, ManifestError } from "@weighlock/manifest/base"
export { type RuntimeErrorCode, RuntimeError, runtimeErrorCodes } from "./errors.ts"
export { supportedFormats } from "./formats/format.ts"
export { loadModel, type LoadOptions, loadVerified, type ModelSource, type VerifiedLoadOptions } from "./load.ts"
export type { AnswerOptions, Model, PredictOptions } from "./model.ts"
export type { Answer, Instance } from "./questions.ts"
export type { DType } from "./dtypes.ts"
export type { OutputValue, TensorSpec, TensorValue } from "./tensors.ts"
export { type ServedModel, serveModels, type ServeOptions, type Serving } from "./serve/serve.ts"
export { answerGolden, checkLoadable, type GoldenAnswer, isLoadable, type UnverifiedModel } from "./unverified.ts"
