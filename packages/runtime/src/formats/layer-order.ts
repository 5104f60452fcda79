/**
 * The layers of a functional model, each after those it needs.
 *
 * The library goes through all layers again and again and makes the calls whose inputs exist: with 9,000 layers listed
 * backwards that takes minutes, and on a circle or for a missing layer it never ends. In this order one round is enough,
 * but for layers that are called several times.
 */
import type { JsonObject, JsonValue } from "@weighlock/manifest"
import { refused } from "../errors.ts"
import { asArray, asName, asObject } from "./json-fields.ts"

const maxInputs = 10_000
/** Calls that are looked at again; a model that shares its layers sensibly stays far below. */
const maxRetries = 100_000

/** A layer's call on others: `inbound_nodes[call][input] = [layer, node, tensor, kwargs?]`. */
interface Call {
  readonly layer: string
  readonly needs: readonly (readonly [layer: string, node: number])[]
}

/** `startsWithNode` knows the layers whose first node is there before any call: inputs, and models. Throws MODEL_REFUSED. */
export function orderLayers(
  layers: readonly JsonObject[],
  startsWithNode: (layer: JsonObject) => boolean,
): JsonObject[] {
  const byName = new Map<string, JsonObject>()
  for (const layer of layers) byName.set(layerName(layer, byName), layer)
  const first = new Map([...byName].map(([name, layer]) => [name, startsWithNode(layer) ? 1 : 0] as const))
  const calls = new Map([...byName].map(([name, layer]) => [name, callsOf(layer, name)] as const))
  const uncalled = [...calls].flatMap(([name, made]) => (made.length === 0 ? [name] : []))
  const names = [...new Set([...uncalled, ...orderCalls(calls, first).map(({ layer }) => layer)])]
  requireFewRounds(
    names.map((name) => calls.get(name) ?? []),
    first,
  )
  return names.map((name) => byName.get(name) as JsonObject)
}

/** Every call after those whose outputs it takes, and after the earlier calls of its layer: their order is their number. */
function orderCalls(calls: ReadonlyMap<string, readonly Call[]>, first: ReadonlyMap<string, number>): Call[] {
  const made = new Map(first)
  const waiting = new Map<string, Call[]>() // by the node that they wait for
  const order: Call[] = []
  const next = [...calls.values()].flatMap(([call]) => call ?? [])
  for (let call = next.pop(); call !== undefined; call = next.pop()) {
    const missing = call.needs.find(([from, node]) => node >= (made.get(from) ?? 0))
    if (missing !== undefined) {
      const key = JSON.stringify(missing)
      waiting.set(key, waiting.get(key) ?? [])
      waiting.get(key)?.push(call)
      continue
    }
    order.push(call)
    const [{ layer }, start] = [call, first.get(call.layer) ?? 0]
    const node = made.get(layer) ?? 0
    made.set(layer, node + 1)
    const key = JSON.stringify([layer, node])
    next.push(...(waiting.get(key) ?? []))
    waiting.delete(key)
    const later = calls.get(layer)?.[node + 1 - start]
    if (later) next.push(later)
  }
  const [stuck] = [...waiting.values()].flat()
  if (stuck) throw refused(`layer ${stuck.layer} waits for a layer that never comes`)
  return order
}

// The library's own loop, on counters. A call that overtook an earlier one of its layer would get the other's number.
function requireFewRounds(layers: readonly (readonly Call[])[], first: ReadonlyMap<string, number>): void {
  const made = new Map(first)
  let retries = 0
  for (let pending = layers; pending.length > 0;) {
    const next = pending.map((calls) => makeReady(calls, made)).filter((late) => late.length > 0)
    retries += next.reduce((total, late) => total + late.length, 0)
    if (retries > maxRetries) throw refused("its layers call each other in too many rounds")
    pending = next
  }
}

/** The calls that have to wait for another round. */
function makeReady(calls: readonly Call[], made: Map<string, number>): Call[] {
  const late: Call[] = []
  for (const call of calls) {
    const ready = call.needs.every(([from, node]) => node < (made.get(from) ?? 0))
    if (!ready) late.push(call)
    else if (late.length > 0) throw refused(`layer ${call.layer} is called in another order than it is listed`)
    else made.set(call.layer, (made.get(call.layer) ?? 0) + 1)
  }
  return late
}

function layerName(layer: JsonObject, known: ReadonlyMap<string, JsonObject>): string {
  const name = asName(layer["name"], "a layer's name")
  if (asObject(layer["config"], `config of layer ${name}`)["name"] !== name)
    throw refused(`layer ${name} has two names`)
  if (known.has(name)) throw refused(`two layers are named ${name}`)
  return name
}

// The library waits for ever for the inputs of a call that has none.
function inputsOf(call: JsonValue, name: string): JsonValue[] {
  const inputs = asArray(call, `a call of ${name}`, maxInputs)
  if (inputs.length === 0) throw refused(`layer ${name} is called without an input`)
  return inputs
}

function callsOf(layer: JsonObject, name: string): Call[] {
  return asArray(layer["inbound_nodes"], `inbound_nodes of ${name}`, maxInputs).map((call) => ({
    layer: name,
    needs: inputsOf(call, name).map((input) => {
      const [from, node] = asArray(input, `an input of ${name}`, 4)
      if (typeof node !== "number" || !Number.isSafeInteger(node) || node < 0) throw refused(`an input of ${name}`)
      return [asName(from, `an input of ${name}`), node]
    }),
  }))
}
