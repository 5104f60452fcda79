/**
 * Files that take longest. Some are run by `pnpm test:thorough` and not by `pnpm test`, which has others of their kind: they
 * kill processes, wait for time limits, or go over a whole log again and again. `pnpm test NAME` runs those it names.
 */
export const longFiles: ReadonlySet<string> = new Set([
  "test/cli/monitor.test.ts",
  "test/cli/serve-restart.test.ts",
  "test/client/audit-embedded.test.ts",
  "test/client/audit-hostile.test.ts",
  "test/client/audit-live.test.ts",
  "test/client/audit-tamper.test.ts",
  "test/client/cache.test.ts",
  "test/client/closing-store.test.ts",
  "test/client/cut-connections.test.ts",
  "test/client/hostile-upload.test.ts",
  "test/client/hostile.test.ts",
  "test/client/kept-views.test.ts",
  "test/client/monitor-hostile.test.ts",
  "test/client/monitor.test.ts",
  "test/client/partials.test.ts",
  "test/client/pulled-folder.test.ts",
  "test/client/seen-log.test.ts",
  "test/client/shared-blobs.test.ts",
  "test/client/split-heads.test.ts",
  "test/client/store-link.test.ts",
  "test/client/witnessed.test.ts",
  "test/docs/trust.test.ts",
  "test/manifest/hash-folder.test.ts",
  "test/manifest/hostile-size.test.ts",
  "test/registry/blobs-fs.test.ts",
  "test/registry/crash.test.ts",
  "test/registry/hostile-bucket.test.ts",
  "test/registry/pipelining.test.ts",
  "test/registry/rebuild.test.ts",
  "test/registry/start-proof.test.ts",
  "test/registry/static-log.test.ts",
  "test/registry/uploads.test.ts",
  "test/runtime/hazards.test.ts",
  "test/runtime/restart.test.ts",
  "test/witness/registry.test.ts",
])

/** Of the others those that take longest, longest first. Only the order depends on it. */
const first: readonly string[] = [
  "test/e2e/deployed.test.ts",
  "test/e2e/mnist-service.test.ts",
  "test/cli/scripts.test.ts",
  "test/cli/audit.test.ts",
  "test/client/hostile-routes.test.ts",
  "test/client/round-trip.test.ts",
]

/** `file` is a path below the root, with slashes. */
export function isLong(file: string): boolean {
  return longFiles.has(file)
}

/** The long ones in front, then those that are known to take time, the others by their name. */
export function longestFirst(files: readonly string[]): string[] {
  const rank = (file: string): number => {
    const at = first.indexOf(file)
    return isLong(file) ? -1 : at === -1 ? first.length : at
  }
  return files.toSorted((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
}
