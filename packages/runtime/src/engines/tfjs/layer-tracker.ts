/** Which layer the library is at, so that an error of its own can be told in our words: where, and what to do. */
import type { TensorFlow } from "./backend.ts"

export interface LayerTracker {
  /** Before a model is built or asked. */
  readonly start: () => void
  /** The innermost layer that has not come back since: `layer conv (Conv2D)`. */
  readonly where: () => string | null
}

interface LibraryLayer {
  readonly name: string
  getClassName(): string
}

type Apply = (this: LibraryLayer, ...args: unknown[]) => unknown
type FromConfig = (
  made: { readonly className?: string },
  config: { readonly name?: string },
  ...rest: unknown[]
) => unknown

const trackers = new WeakMap<object, LayerTracker>()

/** One for each instance of the library. */
export function trackLayers(tf: TensorFlow): LayerTracker {
  const known = trackers.get(tf.layers.Layer)
  if (known) return known
  const path: string[] = []
  followCalls(tf, path)
  followMaking(tf, path)
  const tracker = { start: () => void (path.length = 0), where: () => path.at(-1) ?? null }
  trackers.set(tf.layers.Layer, tracker)
  return tracker
}

// What throws stays on the path.
function follow<T>(path: string[], name: string, step: () => T): T {
  path.push(name)
  const result = step()
  path.pop()
  return result
}

function followCalls(tf: TensorFlow, path: string[]): void {
  const prototype = tf.layers.Layer.prototype as unknown as { apply: Apply }
  const { apply } = prototype
  prototype.apply = function (...args) {
    return follow(path, `layer ${this.name} (${this.getClassName()})`, () => apply.apply(this, args))
  }
}

function followMaking(tf: TensorFlow, path: string[]): void {
  const classes = tf.serialization.SerializationMap.getMap().classNameMap as unknown as Record<
    string,
    [unknown, FromConfig]
  >
  for (const [className, entry] of Object.entries(classes)) {
    const [, fromConfig] = entry
    entry[1] = (made, config, ...rest) =>
      follow(path, `layer ${config.name ?? "without a name"} (${className})`, () => fromConfig(made, config, ...rest))
  }
}
