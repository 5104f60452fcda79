/** The matrix asks what it says: every class that may be loaded, the same cases that Keras answered, in numbers. */
import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { statSync } from "node:fs"
import { test } from "node:test"
import { containerClasses, knownActivations, knownClasses } from "@weighlock/runtime/src/formats/layer-classes.ts"
import { readAnswers } from "./answers.ts"
import type { Json } from "./case.ts"
import { allCases } from "./cases.ts"
import { activations } from "./cases/activation.ts"
import { representative } from "./features.ts"

const cases = allCases()
const answersFile = new URL("answers.bin.gz", import.meta.url)

/** What the loader leaves out, since only training uses it. */
const trainingOnly = /_(?:initializer|regularizer|constraint)$/

function classesIn(value: Json): string[] {
  if (Array.isArray(value)) return value.flatMap(classesIn)
  if (typeof value !== "object" || value === null) return []
  const name = (value as Record<string, Json>)["class_name"]
  const inside = Object.entries(value).filter(([key]) => !trainingOnly.test(key))
  return [...(typeof name === "string" ? [name] : []), ...inside.flatMap(([, item]) => classesIn(item))]
}

test("every class that may be loaded has cases, and no other", () => {
  const asked = new Set(cases.flatMap(({ topology }) => classesIn(topology)))
  assert.deepEqual([...asked].toSorted(), [...knownClasses].toSorted())
  assert.ok(containerClasses.every((name) => asked.has(name)))
})

test("every activation that may be loaded has cases", () => {
  const camel = (name: string): string => name.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  const asked = new Set(activations.flatMap((name) => (name === "gelu_new" ? [] : [name, camel(name)])))
  assert.deepEqual([...asked].toSorted(), [...knownActivations].toSorted())
})

test("5,000 cases and more, each id once", () => {
  assert.ok(cases.length >= 5_000, `${cases.length} cases`)
  assert.equal(new Set(cases.map(({ id }) => id)).size, cases.length)
})

test("Keras answered these very cases, all but a few that it refuses itself, in at most 2 MB", () => {
  const answers = readAnswers(answersFile)
  assert.equal(
    createHash("sha256").update(JSON.stringify(cases)).digest("hex"),
    answers.cases,
    "the cases have changed: make-answers.py says how to ask Keras again",
  )
  assert.deepEqual(
    [...answers.of.keys()],
    cases.map(({ id }) => id),
  )
  const without = [...answers.of].filter(([, found]) => typeof found === "string").map(([id]) => id)
  assert.ok(without.length < cases.length / 100, `Keras has no answer to ${without.join(", ")}`)
  assert.ok(statSync(answersFile).size <= 2_000_000)
})

test("400 cases have every class and every setting of few values", () => {
  const chosen = representative(cases, 400)
  assert.equal(chosen.length, 400)
  assert.deepEqual(
    new Set(chosen.flatMap(({ topology }) => classesIn(topology))),
    new Set(cases.flatMap(({ topology }) => classesIn(topology))),
  )
})
