/**
 * Counters, gauges and histograms for Prometheus, text format 0.0.4.
 *
 *     weighlock_http_requests_total{method="GET",route="/api/v1/info",status="200"} 7
 */
export class Metrics {
  readonly #counters = new Map<string, number>()
  readonly #gauges = new Map<string, { help: string; read: () => number }>()
  readonly #help = new Map<string, string>()
  readonly #histograms = new Map<string, Histogram>()

  counter(name: string, help: string): (labels?: Readonly<Record<string, string>>, by?: number) => void {
    this.#help.set(name, help)
    return (labels = {}, by = 1) => {
      const key = name + formatLabels(labels)
      this.#counters.set(key, (this.#counters.get(key) ?? 0) + by)
    }
  }

  /** `bounds`: upper ends of the buckets, ascending. */
  histogram(
    name: string,
    help: string,
    bounds: readonly number[],
  ): (labels: Readonly<Record<string, string>>, value: number) => void {
    const series = new Map<string, { labels: Readonly<Record<string, string>>; counts: number[]; sum: number }>()
    this.#histograms.set(name, { help, bounds, series })
    return (labels, value) => {
      const key = formatLabels(labels)
      const own = series.get(key) ?? { labels, counts: bounds.map(() => 0).concat(0), sum: 0 }
      series.set(key, own)
      const at = bounds.findIndex((bound) => value <= bound)
      const bucket = at === -1 ? bounds.length : at
      own.counts[bucket] = (own.counts[bucket] ?? 0) + 1
      own.sum += value
    }
  }

  gauge(name: string, help: string, read: () => number): void {
    this.#gauges.set(name, { help, read })
  }

  /** Label values come from our own lists (routes, methods, statuses), never from a client. */
  text(): string {
    const lines: string[] = []
    for (const [name, help] of this.#help) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`)
      for (const [key, value] of this.#counters) if (key.split("{", 1)[0] === name) lines.push(`${key} ${value}`)
    }
    for (const [name, { help, read }] of this.#gauges) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, `${name} ${read()}`)
    }
    for (const [name, { help, bounds, series }] of this.#histograms) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} histogram`)
      for (const { labels, counts, sum } of series.values()) {
        let total = 0
        for (const [at, count] of counts.entries()) {
          total += count
          lines.push(`${name}_bucket${formatLabels({ ...labels, le: String(bounds[at] ?? "+Inf") })} ${total}`)
        }
        lines.push(`${name}_sum${formatLabels(labels)} ${sum}`, `${name}_count${formatLabels(labels)} ${total}`)
      }
    }
    return `${lines.join("\n")}\n`
  }
}

interface Histogram {
  readonly help: string
  readonly bounds: readonly number[]
  /** By their labels; `counts` has one more than there are bounds. */
  readonly series: ReadonlyMap<
    string,
    { readonly labels: Readonly<Record<string, string>>; readonly counts: readonly number[]; readonly sum: number }
  >
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}
