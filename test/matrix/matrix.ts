/**
 * One engine against real Keras and against the JavaScript engine, case by case.
 *
 *     right      it answered, within the tolerance of both
 *     refused    it did not load the model, with a reason
 *     wrong      it answered something else: the one thing that must not be
 */
import { type Answers, difference } from "./answers.ts"
import type { MatrixCase } from "./case.ts"
import type { Outcome } from "./run-case.ts"

export type Ask = (one: MatrixCase) => Promise<Outcome>

export interface Result {
  readonly id: string
  readonly layer: string
  readonly outcome: "right" | "refused" | "wrong"
  /** Why it was refused, or what is wrong. */
  readonly why: string
}

/** `reference` is the engine that the answers are compared with besides Keras's. */
export async function runMatrix(
  cases: readonly MatrixCase[],
  answers: Answers,
  ask: Ask,
  reference?: Ask,
): Promise<Result[]> {
  const results: Result[] = []
  for (const one of cases) results.push(await decide(one, answers, ask, reference))
  return results
}

async function decide(one: MatrixCase, answers: Answers, ask: Ask, reference: Ask | undefined): Promise<Result> {
  const { id, layer } = one
  const ours = await ask(one)
  if ("why" in ours) return { id, layer, outcome: "refused", why: ours.why }
  const theirs = answers.of.get(id)
  if (theirs === undefined || typeof theirs === "string") {
    return {
      id,
      layer,
      outcome: "wrong",
      why: `Keras has no such model, and it was answered: ${theirs ?? "not asked"}`,
    }
  }
  const fromKeras = difference(ours.answers, theirs)
  if (fromKeras !== null) return { id, layer, outcome: "wrong", why: `not as Keras: ${fromKeras}` }
  const js = await reference?.(one)
  if (js === undefined || "why" in js) return { id, layer, outcome: "right", why: "" }
  const fromJs = difference(ours.answers, js.answers)
  return { id, layer, outcome: fromJs === null ? "right" : "wrong", why: fromJs === null ? "" : `not as js: ${fromJs}` }
}

export interface Tally {
  right: number
  refused: number
  wrong: number
}

export function tally(results: readonly Result[]): Map<string, Tally> {
  const table = new Map<string, Tally>()
  for (const { layer, outcome } of results) {
    const row = table.get(layer) ?? { right: 0, refused: 0, wrong: 0 }
    row[outcome]++
    table.set(layer, row)
  }
  return table
}

/** A table to read: one line a class, then how often each reason to refuse was given. */
export function report(engine: string, results: readonly Result[]): string {
  const rows = [...tally(results)].map(([layer, { right, refused, wrong }]) => {
    return `${layer.padEnd(24)} ${String(right).padStart(6)} ${String(refused).padStart(8)} ${String(wrong).padStart(6)}`
  })
  const reasons = new Map<string, number>()
  for (const { outcome, why } of results) {
    if (outcome !== "refused") continue
    const kind = why
      .replace(/layer [^:]*: /, "")
      .replaceAll(/\d+/g, "n")
      .slice(0, 110)
    reasons.set(kind, (reasons.get(kind) ?? 0) + 1)
  }
  const head = `${`engine ${engine}`.padEnd(24)} ${"right".padStart(6)} ${"refused".padStart(8)} ${"wrong".padStart(6)}`
  const why = [...reasons]
    .toSorted(([, a], [, b]) => b - a)
    .map(([kind, count]) => `${String(count).padStart(6)}  ${kind}`)
  return [head, ...rows, "refused because:", ...why].join("\n")
}
