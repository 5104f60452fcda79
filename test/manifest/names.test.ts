/** Names, versions and references: one anchored grammar, one spelling. */
import assert from "node:assert/strict"
import { test } from "node:test"
import fc from "fast-check"
import {
  compareVersions,
  formatReference,
  isAlias,
  isModelName,
  isOrigin,
  isVersion,
  parseFixedReference,
  parseModelName,
  parseOrigin,
  parseReference,
  parseVersion,
} from "@weighlock/manifest"

const hex = "0123456789abcdef".repeat(4)
const long = (count: number): string => "a".repeat(count)

const goodModels = ["acme/mnist", "a/b", "0/0", "acme-inc/m.n_o-p", `${long(31)}/${long(64)}`, "a/gitx", "git/ipynb"]
const badModels = [
  ["no namespace", "mnist"],
  ["three segments", "a/b/c"],
  ["empty", ""],
  ["empty segment", "/b"],
  ["empty name", "a/"],
  ["upper case", "Acme/mnist"],
  ["double separator", "a/b..c"],
  ["mixed separators", "a/b-_c"],
  ["leading separator", "a/-b"],
  ["trailing separator", "a/b."],
  ["dot dot", "../b"],
  ["dot", "./b"],
  ["ends in .git", "a/b.git"],
  ["ends in .ipynb", "a/b.ipynb"],
  ["namespace ends in .git", "a.git/b"],
  ["segment of 65", `a/${long(65)}`],
  ["97 in all", `${long(33)}/${long(63)}`],
  ["newline at the end", "a/b\n"],
  ["space", "a/b "],
  ["percent", "a/%62"],
  ["backslash", "a\\b"],
  ["Cyrillic twin", "\u0430cme/mnist"],
  ["full-width", "acme/\uff4dnist"],
  ["NUL", "acme/mn\0ist"],
  ["colon", "acme:x/mnist"],
] as const

for (const good of goodModels) test(`model name: ${good}`, () => assert.equal(parseModelName(good), good))
for (const [why, bad] of badModels) {
  test(`model name refused: ${why}`, () => {
    assert.equal(isModelName(bad), false)
    assert.throws(() => parseModelName(bad), { code: "MANIFEST_INVALID" })
  })
}

const goodVersions = ["0.0.0", "1.2.0", "10.20.30", "1.0.0-rc.1", "1.0.0--", "1.0.0-0a", "1.0.0-x-y.7.z92"]
goodVersions.push("99999999999999999999.0.0", `1.0.0-${long(58)}`)
const badVersions = ["", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.02.3", "1.2.3-01", "1.2.3-", "1.2.3-a..b"]
badVersions.push("1.2.3+build", "1.2.3-rc+b", " 1.2.3", "1.2.3\n", "1.2.3 ", "-1.2.3", "1.2.x", "latest", "1.2.3-é")
badVersions.push("\u0661.0.0", `1.0.0-${long(59)}`, "1,2,3", "0x1.0.0", "1e1.0.0", "^1.2.3")
for (const good of goodVersions) test(`version: ${good}`, () => assert.equal(parseVersion(good), good))
for (const bad of badVersions) {
  test(`version refused: ${JSON.stringify(bad)}`, () => {
    assert.equal(isVersion(bad), false)
    assert.throws(() => parseVersion(bad), { code: "MANIFEST_INVALID" })
  })
}

test("versions: SemVer §11 order, every pair of a sorted list", () => {
  const sorted = ["0.0.0", "0.0.1", "0.1.0", "0.10.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-99999999999999999998"]
  sorted.push("1.0.0-99999999999999999999", "1.0.0--", "1.0.0-A", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta")
  sorted.push(
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1-a",
    "1.0.1",
    "2.0.0",
    "10.0.0",
  )
  sorted.push("9007199254740992.0.0", "9007199254740993.0.0")
  for (const [i, a] of sorted.entries()) {
    for (const [j, b] of sorted.entries()) {
      assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} and ${b}`)
    }
  }
})

const part = fc.oneof(fc.nat({ max: 3 }).map(String), fc.bigInt({ min: 0n, max: 10n ** 18n }).map(String))
const pre = fc.array(fc.oneof(part, fc.stringMatching(/^[a-zA-Z-]{1,3}$/)), { minLength: 0, maxLength: 3 })
const version = fc
  .tuple(part, part, part, pre)
  .map(([a, b, c, d]) => `${a}.${b}.${c}${d.length === 0 ? "" : `-${d.join(".")}`}`)
  .filter((text) => text.length <= 64)

test("versions: a total order (antisymmetric, transitive, zero only for the same)", () => {
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      assert.equal(Math.sign(compareVersions(a, b)), -Math.sign(compareVersions(b, a)) + 0)
      assert.equal(compareVersions(a, b) === 0, a === b)
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) assert.ok(compareVersions(a, c) <= 0)
    }),
  )
})

const goodOrigins = [
  "localhost",
  "localhost:8080",
  "models.acme.example",
  "a.b:1",
  "127.0.0.1:65535",
  "xn--bcher-kva.example",
]
const badOrigins = [
  "",
  "Models.acme.example",
  "a_b",
  "a..b",
  ".a",
  "a.",
  "-a",
  "a-",
  "a:0",
  "a:65536",
  "a:08",
  "a:",
  "a:1:2",
]
badOrigins.push(
  "https://a",
  "a/b",
  "a b",
  "a\n",
  `${long(64)}.x`,
  "[::1]",
  "a@b",
  "b\u00fccher",
  Array(67).fill("aa").join(".") + "a",
)
for (const good of goodOrigins) test(`origin: ${good}`, () => assert.equal(parseOrigin(good), good))
for (const bad of badOrigins) {
  test(`origin refused: ${JSON.stringify(bad.slice(0, 40))}`, () => {
    assert.equal(isOrigin(bad), false)
    assert.throws(() => parseOrigin(bad), { code: "MANIFEST_INVALID" })
  })
}

for (const good of ["prod", "a", "a-b-1", `a${"0".repeat(31)}`]) test(`alias: ${good}`, () => assert.ok(isAlias(good)))
for (const bad of ["", "Prod", "1a", "-a", "a_b", "a.b", `a${"0".repeat(32)}`, "a\n"]) {
  test(`alias refused: ${JSON.stringify(bad)}`, () => assert.equal(isAlias(bad), false))
}

const references = {
  "acme/mnist@1.2.0": { model: "acme/mnist", selector: { by: "version", version: "1.2.0" } },
  "localhost:8080/acme/mnist@1.2.0": {
    host: "localhost:8080",
    model: "acme/mnist",
    selector: { by: "version", version: "1.2.0" },
  },
  [`acme/mnist@sha256:${hex}`]: { model: "acme/mnist", selector: { by: "digest", digest: hex } },
  "acme/mnist@^1": { model: "acme/mnist", selector: { by: "range", range: "^1" } },
  "acme/mnist@^1.2.3": { model: "acme/mnist", selector: { by: "range", range: "^1.2.3" } },
  "h.example/acme/mnist:prod": { host: "h.example", model: "acme/mnist", selector: { by: "alias", alias: "prod" } },
}
for (const [text, expected] of Object.entries(references)) {
  test(`reference: ${text.slice(0, 40)} parses, and formats to itself`, () => {
    const parsed = parseReference(text)
    assert.deepEqual(parsed, expected)
    assert.equal(formatReference(parsed), text)
  })
}
for (const moving of ["acme/mnist@^1", "acme/mnist:prod", "h.example/acme/mnist:prod"]) {
  test(`reference needs the log: ${moving}`, () => {
    assert.throws(() => parseFixedReference(moving), { code: "NEEDS_LOG" })
  })
}
for (const bare of ["acme/mnist", "localhost:80/acme/mnist"]) {
  test(`reference without a version: ${bare}`, () => assert.throws(() => parseReference(bare), { code: "USAGE" }))
}
const badReferences = ["", "mnist@1.0.0", "a/b/c/d@1.0.0", "a/b@", "a/b:", "a/b@1.0", "a/b@latest", "a/b:prod@1.0.0"]
badReferences.push(
  `a/b@sha256:${hex.toUpperCase()}`,
  `a/b@sha256:${hex}0`,
  `a/b@sha512:${hex}`,
  `a/b@${hex}`,
  "a/b@1.0.0@1.0.0",
)
badReferences.push(
  "a/b@^01",
  "a/b@^1.2.3.4",
  "a/b@^1.0.0-rc",
  "a/b@~1",
  "a/b@>=1",
  "a/b@*",
  "a/b:Prod",
  "a/b:1",
  "HOST/a/b@1.0.0",
)
badReferences.push(
  "https://h/a/b@1.0.0",
  "h:99999/a/b@1.0.0",
  "../b@1.0.0",
  "a/b@1.0.0\n",
  " a/b@1.0.0",
  "a/b@^1\n",
  "/a/b@1.0.0",
)
for (const bad of badReferences) {
  test(`reference refused: ${JSON.stringify(bad.replace(hex, "<hex>"))}`, () => {
    assert.throws(() => parseReference(bad), { code: "MANIFEST_INVALID" })
  })
}

test("references: whatever is accepted formats back to the same text", () => {
  const soup = fc.string({ unit: fc.constantFrom(...Array.from("ab1.-_/:@^")), maxLength: 24 })
  fc.assert(
    fc.property(soup, (text) => {
      try {
        assert.equal(formatReference(parseReference(text)), text)
      } catch (error) {
        assert.match((error as { code: string }).code, /^(?:MANIFEST_INVALID|USAGE)$/)
      }
    }),
    { numRuns: 2000 },
  )
})
