/** What Git leaves where a large file should be, when nobody has fetched it. */

export const lfsWarning = "a pointer of Git LFS: the file itself is not here, `git lfs pull` gets it"

/** `start`: the first bytes of a file. */
export function isLfsPointer(start: Buffer): boolean {
  return start.toString("latin1", 0, 64).startsWith("version https://git-lfs.github.com/spec/")
}
