/** Hashing: the digests are openssl's and node's, memory is flat, and what moves, links or is no file is refused. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import {
  appendFileSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { test, type TestContext } from "node:test"
import { partSizeFor } from "@weighlock/manifest"
import { hashFolder, listFiles, modelHasher } from "@weighlock/manifest/node"
import type { FileHasher } from "@weighlock/node"
import { onlyThorough, some } from "../support/thorough.ts"
import { tempFolder } from "../support/temp.ts"

const mib = 2 ** 20
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const made = new Map<number, Buffer>()
/** Bytes that differ everywhere, so that a chunk read twice or swapped is seen. */
function bytesOf(size: number): Buffer {
  const known = made.get(size)
  if (known !== undefined) return known
  const bytes = Buffer.alloc(size)
  for (let at = 0, state = size | 1; at < size; at++)
    bytes[at] = (state = (state * 1103515245 + 12345) & 0x7fffffff) >> 16
  made.set(size, bytes)
  return bytes
}

async function withHasher<T>(t: TestContext, use: (hasher: FileHasher) => Promise<T>, threads?: number): Promise<T> {
  const hasher = modelHasher(threads)
  t.after(() => hasher.close())
  return await use(hasher)
}

const sizes = [
  0,
  1,
  63,
  64,
  65,
  mib - 1,
  mib,
  mib + 1,
  2 * mib - 1,
  2 * mib,
  2 * mib + 1,
  8 * mib - 1,
  8 * mib,
  8 * mib + 1,
  16 * mib,
  20 * mib,
]
test("digests equal node's, whole and parts, at every edge of chunk and part", async (t) => {
  const folder = tempFolder(t)
  const all = sizes.map((size) => ({ size, path: join(folder, String(size)), bytes: bytesOf(size) }))
  for (const { path, bytes } of all) writeFileSync(path, bytes)
  await withHasher(t, async (hasher) => {
    const found = await Promise.all(all.map(({ path }) => hasher.hashFile(path, { parts: true }))) // all at once: they share the ring
    for (const [at, { size, bytes }] of all.entries()) {
      const parts = Array.from({ length: Math.ceil(size / (8 * mib)) }, (_, i) =>
        sha256(bytes.subarray(8 * mib * i, 8 * mib * (i + 1))),
      )
      assert.deepEqual(found[at], { size, digest: sha256(bytes), ...(size > 8 * mib ? { parts } : {}) }, String(size))
    }
  })
})
test("digests equal the openssl command's", async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, "a"), bytesOf(8 * mib + 1))
  writeFileSync(join(folder, "b"), "")
  const resources = await hashFolder(folder)
  const said = execFileSync("openssl", ["dgst", "-sha256", "-r", "a", "b"], { cwd: folder }).toString()
  assert.deepEqual(
    resources.map(({ digest }) => digest),
    said
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0]),
  )
})
test("one thread gives the same as eight", async (t) => {
  const path = join(tempFolder(t), "x")
  writeFileSync(path, bytesOf(9 * mib))
  const one = await withHasher(t, (hasher) => hasher.hashFile(path, { parts: true }), 1)
  assert.deepEqual(await withHasher(t, (hasher) => hasher.hashFile(path, { parts: true }), 8), one)
})
test("parts are left out when nobody asks", async (t) => {
  const path = join(tempFolder(t), "x")
  writeFileSync(path, bytesOf(9 * mib))
  assert.equal((await withHasher(t, (hasher) => hasher.hashFile(path))).parts, undefined)
})
for (const wanted of [true, false]) {
  test(`a large sparse file${wanted ? ", whole and parts" : ""}: right, and memory stays flat`, async (t) => {
    const size = some(1024, 4) * mib
    const path = join(tempFolder(t), "sparse")
    const file = openSync(path, "w")
    ftruncateSync(file, size)
    closeSync(file)
    await withHasher(t, async (hasher) => {
      const warm = join(path, "..", "warm")
      writeFileSync(warm, Buffer.alloc(40 * mib))
      await hasher.hashFile(warm, { parts: wanted })
      const before = process.memoryUsage.rss()
      let peak = 0
      let total = 0
      const onBytes = (count: number): void => {
        total += count
        peak = Math.max(peak, process.memoryUsage.rss())
      }
      const { digest, parts } = await hasher.hashFile(path, { parts: wanted, onBytes })
      const zeros = createHash("sha256")
      for (let at = 0; at < size; at += mib) zeros.update(new Uint8Array(mib))
      assert.equal(digest, zeros.digest("hex"))
      assert.equal(parts?.length, wanted ? size / (8 * mib) : undefined)
      assert.equal(total, size)
      assert.ok(peak - before < 64 * mib, `grew by ${((peak - before) / mib).toFixed(0)} MiB`)
      assert.equal(partSizeFor(size), 8 * mib)
    })
  })
}

/** Holes only: nothing to write, and long to hash. */
function longFile(t: TestContext): string {
  const path = join(tempFolder(t), "long")
  const file = openSync(path, "w")
  ftruncateSync(file, 64 * 1024 * mib)
  closeSync(file)
  return path
}
for (const parts of [true, false]) {
  test(`stopped in the middle of a long file${parts ? ", whole and parts" : ""}: the signal's reason, and the hasher goes on`, async (t) => {
    const path = longFile(t)
    const stop = new AbortController()
    const reason = new Error("enough")
    await withHasher(t, async (hasher) => {
      const onBytes = (): void => stop.abort(reason)
      await assert.rejects(hasher.hashFile(path, { parts, signal: stop.signal, onBytes }), reason)
      await assert.rejects(hasher.hashFile(path, { parts, signal: stop.signal }), reason)
      const fault = new Error("no more")
      const failing = (): void => {
        throw fault
      }
      await assert.rejects(hasher.hashFile(path, { parts, onBytes: failing }), fault)
      const short = join(path, "..", "short")
      writeFileSync(short, bytesOf(mib))
      assert.equal((await hasher.hashFile(short, { parts })).digest, sha256(bytesOf(mib)))
    })
  })
}
test("a long file holds up no short one on the same thread", async (t) => {
  const path = longFile(t)
  const short = join(path, "..", "short")
  writeFileSync(short, bytesOf(mib))
  const stop = new AbortController()
  const reason = new Error("enough")
  await withHasher(
    t,
    async (hasher) => {
      const begun = Promise.withResolvers<void>()
      const long = assert.rejects(
        hasher.hashFile(path, { signal: stop.signal, onBytes: () => begun.resolve() }),
        reason,
      )
      await begun.promise
      assert.equal((await hasher.hashFile(short)).digest, sha256(bytesOf(mib)))
      stop.abort(reason)
      await long
    },
    1,
  )
})

const changes: Record<string, (path: string) => void> = {
  grows: (path) => appendFileSync(path, "x"),
  shrinks: (path) => truncateSync(path, 5 * mib),
  "is emptied": (path) => truncateSync(path, 0),
  "is overwritten in place": (path) => {
    const file = openSync(path, "r+")
    writeFileSync(file, "other")
    closeSync(file)
  },
  "is touched": (path) => utimesSync(path, new Date(), new Date(0)),
  "is overwritten and its times put back": (path) => {
    const file = openSync(path, "r+")
    writeFileSync(file, "other")
    closeSync(file)
    utimesSync(path, new Date(1000), new Date(1000))
  },
}
for (const [how, change, parts] of Object.entries(changes).flatMap(([how, change]) =>
  [true, false].map((parts) => [how, change, parts] as const),
)) {
  test(`FILE_CHANGED: a file that ${how} while it is read${parts ? ", whole and parts" : ""}`, async (t) => {
    const path = join(tempFolder(t), "x")
    writeFileSync(path, bytesOf(9 * mib))
    utimesSync(path, new Date(1000), new Date(1000))
    await withHasher(
      t,
      async (hasher) => {
        let done = false
        const onBytes = (): void => {
          if (!done) change(path)
          done = true
        }
        await assert.rejects(hasher.hashFile(path, { parts, onBytes }), { code: "FILE_CHANGED" })
        assert.equal((await hasher.hashFile(path)).digest.length, 64) // the hasher is fit for use
      },
      2,
    )
  })
}
test("a file replaced while it is read: what was opened is what is hashed", async (t) => {
  const folder = tempFolder(t)
  const [path, other] = [join(folder, "x"), join(folder, "y")]
  const bytes = bytesOf(20 * mib)
  writeFileSync(path, bytes)
  writeFileSync(other, "other")
  let done = false
  const onBytes = (): void => {
    if (!done) renameSync(other, path)
    done = true
  }
  const found = await withHasher(t, (hasher) =>
    hasher.hashFile(path, { onBytes }).catch((error: { code: string }) => error.code),
  )
  if (typeof found === "string") assert.equal(found, "FILE_CHANGED")
  else assert.equal(found.digest, sha256(bytes))
})
// In a program of its own: Node ends one whose file handle nobody closed before it was collected.
test("a folder that is given up leaves no file open", (t) => {
  const folder = tempFolder(t)
  for (let i = 0; i < 6; i++) writeFileSync(join(folder, String(i)), bytesOf(20 * mib))
  const script = `
import { appendFileSync } from "node:fs"
import { setTimeout } from "node:timers/promises"
import { hashFolder } from ${JSON.stringify(import.meta.resolve("@weighlock/manifest/node"))}
for (const parts of [true, false]) {
  const onBytes = () => appendFileSync(${JSON.stringify(join(folder, "0"))}, "x")
  await hashFolder(${JSON.stringify(folder)}, { parts, onBytes }).then(console.log, ({ code }) => console.log(code))
  await setTimeout(100)
  gc()
  await setTimeout(100)
}`
  const argv = ["--expose-gc", "--input-type=module", "-e", script]
  assert.equal(execFileSync(process.execPath, argv, { encoding: "utf8" }), "FILE_CHANGED\nFILE_CHANGED\n")
})
test("many files that all change: every one is told, none hangs", { timeout: 300_000 }, async (t) => {
  const folder = tempFolder(t)
  const paths = Array.from({ length: 12 }, (_, i) => join(folder, String(i)))
  for (const path of paths) writeFileSync(path, bytesOf(4 * mib))
  await withHasher(
    t,
    async (hasher) => {
      const results = await Promise.allSettled(
        paths.map((path) => hasher.hashFile(path, { onBytes: () => appendFileSync(path, "x") })),
      )
      for (const result of results)
        assert.equal(result.status === "rejected" && (result.reason as { code: string }).code, "FILE_CHANGED")
    },
    2,
  )
})

const special: Record<string, (path: string) => void> = {
  "a symbolic link to a file": (path) => symlinkSync("/etc/hostname", path),
  "a symbolic link to a folder": (path) => symlinkSync("/etc", path),
  "a dangling symbolic link": (path) => symlinkSync("nowhere", path),
  "a link to itself": (path) => symlinkSync("special", path),
  "a FIFO": (path) => execFileSync("mkfifo", [path]),
}
for (const [what, make] of Object.entries(special)) {
  test(`folder refused: it holds ${what}`, { timeout: 300_000 }, async (t) => {
    const folder = tempFolder(t)
    writeFileSync(join(folder, "a"), "a")
    make(join(folder, "special"))
    await assert.rejects(hashFolder(folder), { code: "MANIFEST_INVALID" })
    assert.equal((await hashFolder(folder, { exclude: ["special"] })).length, 1)
  })
  test(`file refused: it is ${what}`, { timeout: 300_000 }, async (t) => {
    const path = join(tempFolder(t), "special")
    make(path)
    await withHasher(t, (hasher) =>
      assert.rejects(hasher.hashFile(path), { name: "ManifestError", code: "FILE_UNREADABLE" }),
    )
  })
}
for (const path of ["/dev/zero", "/dev/null", "/proc", "/nowhere"]) {
  test(`file refused: ${path}`, { timeout: 300_000 }, async (t) => {
    await withHasher(t, (hasher) => assert.rejects(hasher.hashFile(path), { code: "FILE_UNREADABLE" }))
  })
}
for (const path of ["/dev/zero", "/nowhere"]) {
  test(`model refused: ${path}`, { timeout: 300_000 }, () =>
    assert.rejects(hashFolder(path), { code: "FILE_UNREADABLE" }),
  )
}
test("model refused: a FIFO, a link to a file", { timeout: 300_000 }, async (t) => {
  const folder = tempFolder(t)
  execFileSync("mkfifo", [join(folder, "fifo")])
  writeFileSync(join(folder, "file"), "x")
  symlinkSync("file", join(folder, "link"))
  await assert.rejects(hashFolder(join(folder, "fifo")), { code: "FILE_UNREADABLE" })
  await assert.rejects(hashFolder(join(folder, "link")), { code: "FILE_UNREADABLE" })
})
test("model refused: an empty folder, one of ignored names only", async (t) => {
  const folder = tempFolder(t)
  await assert.rejects(hashFolder(folder), { code: "MANIFEST_INVALID" })
  mkdirSync(join(folder, ".git"))
  writeFileSync(join(folder, ".git", "config"), "x")
  await assert.rejects(hashFolder(folder), { code: "MANIFEST_INVALID" })
})
const names = {
  "case twins": ["Model.json", "model.json"],
  backslash: ["a\\b"],
  newline: ["a\nb"],
  "device name": ["con"],
  "not NFC": ["e\u0301"],
  ".Git": [".Git"],
  "trailing dot": ["a."],
}
for (const [why, files] of Object.entries(names)) {
  test(`model refused: ${why}`, async (t) => {
    const folder = tempFolder(t)
    for (const name of files) writeFileSync(join(folder, name), "x")
    await assert.rejects(hashFolder(folder), { code: "MANIFEST_INVALID" })
  })
}
test("model refused: a file name that is not UTF-8", async (t) => {
  const folder = tempFolder(t)
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/a`), Buffer.from([0xff])]), "x")
  await assert.rejects(hashFolder(folder), { code: "MANIFEST_INVALID" })
})

test("folder: sorted by bytes, excludes and top-level defaults left out, deeper ones kept, hidden files kept", async (t) => {
  const folder = tempFolder(t)
  const all = [
    "b",
    "a.b",
    "a0",
    "a/x",
    "sub/.git/config",
    ".hidden",
    ".git/HEAD",
    ".gitattributes",
    ".github/w.yml",
    ".gitignore",
    "skip/deep/x",
    "skip2",
    "keep/skip",
  ]
  for (const name of all) {
    mkdirSync(join(folder, name, ".."), { recursive: true })
    writeFileSync(join(folder, name), name)
  }
  mkdirSync(join(folder, "empty"))
  const resources = await hashFolder(folder, { exclude: ["skip", "skip2"] })
  assert.deepEqual(
    resources.map(({ name }) => name),
    [".hidden", "a.b", "a/x", "a0", "b", "keep/skip", "sub/.git/config"],
  )
  for (const { name, digest, size } of resources)
    assert.deepEqual([digest, size], [sha256(Buffer.from(name)), name.length])
})
test("one file is a model of that one file", async (t) => {
  const path = join(tempFolder(t), "model.onnx")
  writeFileSync(path, "x")
  assert.deepEqual(
    (await listFiles(path)).map(({ name }) => name),
    ["model.onnx"],
  )
  rmSync(path)
})
test("progress: files and bytes are told before, then every byte once", async (t) => {
  const folder = tempFolder(t)
  writeFileSync(join(folder, "a"), bytesOf(9 * mib))
  writeFileSync(join(folder, "b"), bytesOf(3))
  let totals = { files: 0, bytes: 0 }
  let bytes = 0
  await hashFolder(folder, { onStart: (told) => (totals = told), onBytes: (count) => (bytes += count) })
  assert.deepEqual([totals, bytes], [{ files: 2, bytes: 9 * mib + 3 }, 9 * mib + 3])
})
test("10,000 files are listed, 10,001 are TOO_LARGE", { skip: onlyThorough }, async (t) => {
  const folder = tempFolder(t)
  for (let i = 0; i < 10_000; i++) writeFileSync(join(folder, String(i)), "")
  assert.equal((await listFiles(folder)).length, 10_000)
  writeFileSync(join(folder, "one more"), "")
  await assert.rejects(listFiles(folder), { code: "TOO_LARGE" })
})
