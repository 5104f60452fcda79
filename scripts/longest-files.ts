/** The test files that take longest, longest first: what `pnpm test` prints at its end. Only their order depends on it. */
const longest: readonly string[] = [
  "test/cli/scripts.test.ts",
  "test/cli/serve-restart.test.ts",
  "test/client/witnessed.test.ts",
  "test/client/audit-hostile.test.ts",
  "test/runtime/hazards.test.ts",
  "test/registry/uploads.test.ts",
  "test/runtime/restart.test.ts",
  "test/client/audit-tamper.test.ts",
  "test/registry/pipelining.test.ts",
  "test/client/hostile.test.ts",
  "test/registry/start-proof.test.ts",
  "test/client/shared-blobs.test.ts",
]

/** Those that are known to be long in front, the others by their name. */
export function longestFirst(files: readonly string[]): string[] {
  return [
    ...longest.filter((file) => files.includes(file)),
    ...files.filter((file) => !longest.includes(file)).toSorted(),
  ]
}
