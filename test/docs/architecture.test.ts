/** docs/architecture.md and the packages say the same of who imports whom, and no page is cited that a reader does not have. */
import assert from "node:assert/strict"
import { existsSync, globSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { test } from "node:test"
import { readPage, repository, tableBelow } from "../support/markdown.ts"

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const page = readPage("architecture.md")
const names = (cell: string): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name)

test("every package is in the table, with the packages of ours that it may import", () => {
  const listed = tableBelow(page, "## Packages").map(([name = "", , imports = ""]) => [
    names(name)[0],
    names(imports).toSorted(),
  ])
  const found = globSync("packages/*/package.json", { cwd: repository }).map((path) => {
    const manifest = JSON.parse(readFileSync(join(repository, path), "utf8")) as Manifest
    const all = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies }
    const own = Object.keys(all).filter((name) => name.startsWith("@weighlock/"))
    return [path.replace("/package.json", ""), own.map((name) => name.replace("@weighlock/", "")).toSorted()]
  })
  assert.deepEqual(listed.toSorted(), found.toSorted())
})

test("what the page says to look in is there", () => {
  const paths = tableBelow(page, "## Where things are").flatMap(([, where = ""]) => names(where))
  const files = paths.filter((path) => path.includes("/") && !path.startsWith("/"))
  assert.ok(files.length > 8)
  for (const path of files) assert.ok(existsSync(join(repository, path)), `${path} is not there`)
})

test("the words are sorted, and none has two meanings", () => {
  const words = tableBelow(page, "## Words").map(([word = ""]) => word)
  assert.deepEqual(words, [...new Set(words)])
  const plain = words.filter((word) => !word.startsWith("`"))
  assert.deepEqual(plain, plain.toSorted())
})

function headingsOf(file: string): ReadonlySet<string> {
  const text = readFileSync(join(repository, file), "utf8")
  return new Set(
    [...text.matchAll(/^#{1,6} (.+)$|^\*\*(.+)\.\*\*/gm)].map(([, heading, bold]) => heading ?? bold ?? ""),
  )
}

// What was agreed on elsewhere is in docs/, or nobody can look it up.
test("no comment cites a document that is not in the repository", () => {
  const sources = globSync(["packages/*/src/**/*.ts", "{test,bench,examples,scripts}/**/*.{ts,mjs,sh}"], {
    cwd: repository,
    exclude: (name) => name.includes("node_modules"),
  })
  assert.ok(sources.length > 400)
  const cited =
    /\bcontract(?: of [a-z]+ v\d)?(?:,? §|: )|\((?:the )?contract\b|\bcontract §|(?:^|[^\w/])(?:architecture|operations|reliability|field-notes|contract)\.md/i
  const own = import.meta.filename
  for (const path of sources) {
    if (join(repository, path) === own) continue
    const lines = readFileSync(join(repository, path), "utf8").split("\n")
    for (const [at, line] of lines.entries())
      if (/^\s*(?:\/\/|\/?\*)/.test(line)) assert.doesNotMatch(line, cited, `${path}:${at + 1}`)
  }
})

test("a page that a comment cites is there, and has the section", () => {
  const sources = globSync("{packages/*/src,test,bench,scripts}/**/*.{ts,mjs}", {
    cwd: repository,
    exclude: (name) => name.includes("node_modules"),
  })
  let citations = 0
  for (const path of sources) {
    const text = readFileSync(join(repository, path), "utf8").replaceAll(/\n\s*(?:\*|\/\/) ?/g, " ")
    for (const [, file = "", section] of text.matchAll(/\b(docs\/[a-z-]+\.md)(?:,? "([^"\n]{1,80})")?/g)) {
      citations++
      assert.ok(existsSync(join(repository, file)), `${path} cites ${file}`)
      if (section === undefined) continue
      assert.ok(headingsOf(file).has(section), `${path} cites ${file}, "${section}"`)
    }
  }
  assert.ok(citations > 5)
})
