/** Threads that hash the files of models: parts as a manifest lists them, errors with the codes of this package. */
import { FileHasher } from "@weighlock/node"
import { limits, ManifestError, partSizeFor } from "../index.ts"

export function modelHasher(threads?: number): FileHasher {
  return new FileHasher({
    ...(threads === undefined ? {} : { threads }),
    partSizeFor: (size) => (size > limits.part ? partSizeFor(size) : null),
    toError: ({ code, message, hint, cause }) =>
      new ManifestError(code, message, { cause, ...(hint === undefined ? {} : { hint }) }),
  })
}
