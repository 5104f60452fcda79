/**
 * How a file or a folder shows that whoever works on it is alive: twice a second its times change. Others compare what they
 * see with what they saw, by a stopwatch of their own. No clock, host name or process id has to agree, so it holds across
 * containers and machines, and kill -9 leaves no lock behind.
 */
import { utimes } from "node:fs/promises"

const interval = 500
/** What has not changed for that long has nobody, ms. Being wrong costs work done twice, never a wrong byte. */
export const deadAfter = 5_000
/** The same for those who can't watch and have to believe two clocks, ms. */
export const longDead = 60_000

/**
 * Begins, and returns what ends it. The time of modification becomes `movedAt`, which shows whether the work gets further.
 * `onGone` is told when nothing has that name any more: somebody else took it, thinking its owner dead.
 */
export function startHeartbeat(path: string, movedAt: () => Date, onGone: () => void): () => void {
  const timer = setInterval(() => {
    utimes(path, new Date(), movedAt()).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") onGone()
    })
  }, interval)
  timer.unref()
  return () => clearInterval(timer)
}

/** By both times: one moves with the work, the other with the heart. */
export function isLongDead({ atimeMs, mtimeMs }: { readonly atimeMs: number; readonly mtimeMs: number }): boolean {
  return [atimeMs, mtimeMs].every((time) => Math.abs(Date.now() - time) > longDead)
}
