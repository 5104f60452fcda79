/** File paths: safe to create anywhere, one spelling, no two that some file system takes for one. */
import assert from "node:assert/strict"
import { posix } from "node:path"
import { test } from "node:test"
import fc from "fast-check"
import { compareUtf8, foldPath, parsePath, requireDistinctPaths } from "@weighlock/manifest"
import { every, some } from "../support/thorough.ts"

const code = { code: "MANIFEST_INVALID" }
const good = [
  "model.json",
  "a/b/c.bin",
  "weights/big.bin",
  ".hidden",
  "a..b",
  "...a",
  "~",
  "-rf",
  "a b",
  "é.bin",
  "日本.bin",
]
good.push(
  "console",
  "con_1",
  "com0",
  "com10",
  "auxiliary.txt",
  "nul_",
  "sub/.git",
  "sub/.github/x",
  ".gitx",
  "a%2e%2e",
  "$HOME",
  "👍",
)
good.push("a".repeat(255), `${"a".repeat(255)}/${"b".repeat(254)}/c`)
for (const path of good) test(`path: ${path.slice(0, 30)}`, () => assert.equal(parsePath(path), path))

const bad = {
  empty: "",
  absolute: "/etc/passwd",
  "parent directory": "../x",
  "parent in the middle": "a/../b",
  "parent at the end": "a/..",
  dot: "./a",
  "dot alone": ".",
  "dot dot alone": "..",
  "double slash": "a//b",
  "slash at the end": "a/",
  backslash: "a\\b",
  "backslash traversal": "..\\..\\x",
  drive: "C:/x",
  "drive-relative": "c:x",
  "alternate data stream": "a.txt:evil",
  UNC: "\\\\host\\share",
  NUL: "a\0b",
  newline: "a\nb",
  tab: "a\tb",
  escape: "a\u001b[2J",
  delete: "a\u007f",
  "C1 control": "a\u0085b",
  "line separator": "a\u2028b",
  "paragraph separator": "a\u2029b",
  "right-to-left override": "a\u202egnp.exe",
  "left-to-right mark": "a\u200eb",
  "right-to-left mark": "a\u200fb",
  "Arabic letter mark": "a\u061cb",
  "first strong isolate": "a\u2068b",
  "pop directional isolate": "a\u2069b",
  "left-to-right embedding": "a\u202ab",
  "not NFC (é of two)": "e\u0301",
  "not NFC (Kelvin sign)": "\u212a",
  "not NFC (Angstrom sign)": "\u212b",
  "not NFC (Hangul jamo)": "\u1100\u1161",
  "lone high surrogate": "a\ud800",
  "lone low surrogate": "\udc00a",
  "swapped surrogates": "\udc00\ud800",
  "dot at the end": "a.",
  "space at the end": "a ",
  "dot at the end of a directory": "a./b",
  "space at the end of a directory": "a /b",
  "three dots": "...",
  CON: "CON",
  "con in lower case": "con",
  "prn with an extension": "prn.txt",
  "aux in a directory": "a/aux/b",
  "NUL with two extensions": "NUL.tar.gz",
  COM1: "COM1",
  "lpt9.bin": "lpt9.bin",
  "COM superscript one": "COM\u00b9",
  "LPT superscript three": "lpt\u00b3.x",
  "con space dot": "con .txt",
  "CoN in mixed case": "CoN.h",
  ".git": ".git",
  ".git/config": ".git/config",
  ".GIT": ".GIT/config",
  ".Git in mixed case": ".gIt",
  ".gitattributes": ".gitattributes",
  ".github": ".github/workflows/x.yml",
  ".gitignore": ".gitignore",
  ".gıt with dotless i": ".g\u0131t",
  "segment of 256 bytes": "a".repeat(256),
  "segment of 256 bytes in fewer characters": "é".repeat(128),
  "513 bytes": `${"a".repeat(255)}/${"b".repeat(255)}/c/d`.slice(0, 513).padEnd(513, "d"),
}
for (const [why, path] of Object.entries(bad))
  test(`path refused: ${why}`, () => assert.throws(() => parsePath(path), code))

const distinct: [string, ...string[]][] = [
  ["sorted by bytes, not by UTF-16", "\uffee", "\u{10000}"],
  ["a prefix sorts first", "a", "a.b", "ab"],
  ["slash sorts between dot and digits", "a.b", "a/b", "a0"],
  ["one directory, two files", "d/a", "d/b"],
]
for (const [why, ...paths] of distinct) test(`paths: ${why}`, () => requireDistinctPaths(paths))

const clashes: [string, ...string[]][] = [
  ["not sorted", "b", "a"],
  ["sorted by UTF-16 only", "\u{10000}", "\uffee"],
  ["twice", "a", "a"],
  ["case twins", "A", "a"],
  ["case twins in another directory's spelling", "A/x", "a/y"],
  ["directory and file as case twins", "A", "a/x"],
  ["file and directory", "a", "a/b"],
  ["file and directory, not neighbours", "a", "a.b", "a/b"],
  ["file and deep directory", "a/b", "a/b/c/d"],
  ["sharp s and ss", "STRASSE", "straße"],
  ["long s", "s", "\u017f"],
  ["final sigma", "ΑΣ".toLowerCase(), "ασ"],
  ["ligature ffi", "ffi", "\ufb03"],
  ["dotless i", "I", "\u0131"],
  ["dotted capital I", "i\u0307", "\u0130"],
  ["micro sign and mu", "\u00b5", "\u03bc"],
  ["Greek iota subscript", "\u0391\u0399", "\u1fb3"],
  ["capital sharp s and ss", "ss", "\u1e9e"],
  ["capital and small sharp s", "\u00df", "\u1e9e"],
  ["Cherokee case pair", "\u13a0", "\uab70"],
]
for (const [why, ...paths] of clashes)
  test(`paths refused: ${why}`, () => assert.throws(() => requireDistinctPaths(paths), code))

const soup = fc.string({
  unit: fc.constantFrom(
    ...Array.from("abAB./\\: \u0130\u0131ſßΣς\u0301\u202e\u{10400}"),
    "..",
    "con",
    ".git",
    "\ud800",
  ),
  maxLength: 12,
})
test("paths: whatever is accepted stays below its folder and is its own normal form", () => {
  fc.assert(
    fc.property(soup, (path) => {
      if (!accepts(() => parsePath(path))) return
      assert.equal(posix.normalize(path), path)
      assert.ok(posix.join("/root", path).startsWith("/root/"))
      assert.equal(path.normalize("NFC"), path)
      assert.ok(!/[\\:\0]/.test(path))
    }),
    { numRuns: some(3000, 5) },
  )
})

test("paths: an accepted list has pairwise different folded paths and directories", () => {
  fc.assert(
    fc.property(fc.uniqueArray(soup, { maxLength: 6 }), (some) => {
      const paths = some.toSorted(compareUtf8)
      if (!accepts(() => requireDistinctPaths(paths))) return
      assert.equal(new Set(paths.map(foldPath)).size, paths.length)
      for (const a of paths) for (const b of paths) assert.ok(!foldPath(b).startsWith(`${foldPath(a)}/`))
    }),
    { numRuns: some(2000, 5) },
  )
})

/** The rule word for word: every prefix of every path against every other, which takes too long for a hostile list. */
function isDistinctByDefinition(paths: readonly string[]): boolean {
  const prefixes = (path: string): string[] => {
    const segments = path.split("/")
    return segments.map((_, at) => segments.slice(0, at + 1).join("/"))
  }
  const spelling = new Map<string, string>()
  for (const prefix of paths.flatMap(prefixes)) {
    if ((spelling.get(foldPath(prefix)) ?? prefix) !== prefix) return false
    spelling.set(foldPath(prefix), prefix)
  }
  const files = new Set(paths.map(foldPath))
  return !paths.some((path) => prefixes(path).some((prefix) => prefix !== path && files.has(foldPath(prefix))))
}

test("paths: a list is accepted exactly when no prefixes collide", () => {
  const plain = ["a", "A", "b", "a.b", "a b", "a!", "ab", "i\u0307", "\u0130", "I", "\u0131"]
  const greek = ["\u03c3", "\u03c2", "\u03a3", "\u0345", "\u0399", "\u03b9"]
  const other = ["\u1e9e", "ss", "\u00df", "\u{10400}", "\u{10428}", "\u0301", "a\u0316\u0301", "-\u0301x"]
  const segment = fc.constantFrom(...plain, ...greek, ...other)
  const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"))
  let accepted = 0
  fc.assert(
    fc.property(fc.uniqueArray(path, { maxLength: 7 }), (some) => {
      const paths = some.filter((each) => accepts(() => parsePath(each))).toSorted(compareUtf8)
      const found = accepts(() => requireDistinctPaths(paths))
      assert.equal(found, isDistinctByDefinition(paths))
      if (found && paths.length > 3) accepted++
    }),
    { numRuns: some(5000, 5) },
  )
  assert.ok(accepted > some(100, 5), "the lists are not all refused")
})

test("folding goes segment by segment: no character reaches across a slash", () => {
  for (let code = 0; code <= 0x10ffff; code += every(17)) {
    if (code >= 0xd800 && code <= 0xdfff) continue
    const text = String.fromCodePoint(code)
    if (code === 0x2f) continue
    const [before, after] = [`\u03a3${text}/\u03a3`, `\u03a3/${text}\u03a3`]
    for (const path of [before, after]) {
      if (foldPath(path) !== path.split("/").map(foldPath).join("/")) assert.fail(`U+${code.toString(16)}`)
    }
  }
})

test("compareUtf8 is the order of Buffer.compare", () => {
  const text = fc.string({ unit: "binary" })
  fc.assert(
    fc.property(text, text, (a, b) => {
      if (!a.isWellFormed() || !b.isWellFormed()) return
      assert.equal(Math.sign(compareUtf8(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
  )
})

function accepts(run: () => void): boolean {
  try {
    run()
    return true
  } catch (error) {
    assert.equal((error as { code: string }).code, "MANIFEST_INVALID")
    return false
  }
}
