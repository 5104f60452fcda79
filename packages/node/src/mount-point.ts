/**
 * A file or folder that is mounted by itself can't be replaced by renaming another onto it:
 *
 *     docker run -v ./trust.json:/etc/weighlock/trust.json …     rename onto it: EBUSY
 *     a Kubernetes emptyDir at /models                            rename onto /models: EBUSY
 */

/** The error of a rename or link to `path`; where a mount is in the way it says so, and what to do. `code` stays. */
export function explained(cause: unknown, path: string): unknown {
  const { code, syscall } = cause as NodeJS.ErrnoException
  if (code !== "EBUSY" && code !== "EXDEV") return cause
  const why = `${path} is a mount point, or on another file system than its folder, so it can't be put in place in one step`
  return Object.assign(new Error(`${code}: ${why}; mount the folder above it, or name a path inside it`, { cause }), {
    code,
    syscall,
    path,
  })
}
