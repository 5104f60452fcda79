/** Every relative link of every page leads to a file that is there, and to a heading in it. */
import assert from "node:assert/strict"
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { test } from "node:test"
import { repository } from "../support/markdown.ts"

const pages = [...globSync("*.md", { cwd: repository }), ...globSync("docs/*.md", { cwd: repository })]

function anchorsOf(page: string): readonly string[] {
  const headings = readFileSync(page, "utf8").matchAll(/^#{1,6} (.+)$/gm)
  return [...headings].map(([, text = ""]) =>
    text
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  )
}

for (const page of pages) {
  test(`the links of ${page}`, () => {
    const text = readFileSync(join(repository, page), "utf8").replaceAll(/^```[\s\S]*?^```$/gm, "")
    for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [file = "", anchor] = target.split("#")
      const path = file === "" ? join(repository, page) : join(repository, dirname(page), file)
      assert.ok(existsSync(path), `${target} is not there`)
      if (anchor !== undefined) assert.ok(anchorsOf(path).includes(anchor), `${target} has no such heading`)
    }
  })
}
