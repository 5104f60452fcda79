/**
 * Time as this process lived it. While it is stopped (a debugger, SIGSTOP, a frozen container, a machine that starves it) the
 * clock on the wall goes on, and afterwards it looks as if a registry had been silent for minutes that nobody waited for it.
 */
export interface AwakeClock {
  /** Milliseconds since the clock was started, without those in which the process stood still. */
  now(): number
  stop(): void
}

const tick = 250
/** Of the time between two ticks at most so much counts, ms. */
const most = 4 * tick

export function startAwakeClock(): AwakeClock {
  let [lived, last] = [0, performance.now()]
  const now = (): number => lived + Math.min(performance.now() - last, most)
  const timer = setInterval(() => {
    lived = now()
    last = performance.now()
  }, tick).unref()
  return { now, stop: () => clearInterval(timer) }
}
