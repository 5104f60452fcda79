/**
 * Counters for Prometheus, text format 0.0.4.
 *
 *     weighlock_http_requests_total{method="GET",route="/api/v1/info",status="200"} 7
 */
export class Metrics {
  readonly #counters = new Map<string, number>()
  readonly #gauges = new Map<string, { help: string; read: () => number }>()
  readonly #help = new Map<string, string>()

  counter(name: string, help: string): (labels?: Readonly<Record<string, string>>, by?: number) => void {
    this.#help.set(name, help)
    return (labels = {}, by = 1) => {
      const key = name + formatLabels(labels)
      this.#counters.set(key, (this.#counters.get(key) ?? 0) + by)
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
    return `${lines.join("\n")}\n`
  }
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`
}
