/** What publish, sign and --dry-run take and leave out, as they say it, and as it verifies afterwards. */
import assert from "node:assert/strict"
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { dirname } from "node:path"
import { after, test } from "node:test"
import { Cli } from "../support/cli.ts"

const cli = new Cli()
after(() => cli.close())
await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
cli.env["WEIGHLOCK_TRUST"] = cli.path("reg/trust.json")

function model(files: readonly string[]): void {
  rmSync(cli.path("model"), { recursive: true, force: true })
  for (const name of files) write(name, name)
}
function write(name: string, content: string): void {
  mkdirSync(dirname(cli.path("model", name)), { recursive: true })
  writeFileSync(cli.path("model", name), content)
}

interface Listing {
  readonly files: readonly { path: string; size: number; sha256: string }[]
  readonly leftOut: readonly { path: string; why: string }[]
  readonly warnings: readonly { path: string; why: string }[]
  readonly total: number
  readonly format: string
  readonly entrypoint?: string
  readonly loadable: boolean
}
const as = ["--as", "acme/thing@1.0.0"] as const
async function dryRun(...more: readonly string[]): Promise<Listing> {
  return (await cli.json("publish", "model", ...as, "--dry-run", ...more)) as unknown as Listing
}
const paths = (list: readonly { path: string }[]): string[] => list.map(({ path }) => path)

/** Signs into a file, and verifies the folder against it. */
async function signAndVerify(...more: readonly string[]): Promise<Listing> {
  const listing = (await cli.json("sign", "model", ...as, "-o", "signed.json", ...more)) as unknown as Listing
  await cli.json("verify", "model", "--bundle", "signed.json")
  return listing
}

test("--json: every file with size and digest, what is left out and why, total and format", async () => {
  model(["a.txt", "sub/b.txt", ".git/HEAD", ".DS_Store"])
  const listing = await dryRun()
  assert.deepEqual(listing.files, [
    { path: "a.txt", size: 5, sha256: createHash("sha256").update("a.txt").digest("hex") },
    { path: "sub/b.txt", size: 9, sha256: createHash("sha256").update("sub/b.txt").digest("hex") },
  ])
  assert.deepEqual(listing.leftOut, [
    { path: ".DS_Store", why: "written by the Finder" },
    { path: ".git", why: "Git's own, never part of a model" },
  ])
  assert.deepEqual([listing.total, listing.format, listing.loadable], [14, "other", false])
  for (const command of [["sign"], ["publish", "--dry-run"]])
    assert.deepEqual(paths(((await cli.json(...command, "model", ...as)) as unknown as Listing).files), [
      "a.txt",
      "sub/b.txt",
    ])
})

test("what tools drop anywhere in a folder is left out, and the folder verifies; what only resembles it is taken", async () => {
  const dropped = [
    "__pycache__/a.pyc",
    "src/__pycache__/b.pyc",
    ".ipynb_checkpoints/x.ipynb",
    "n/.ipynb_checkpoints/y.ipynb",
    "n/.DS_Store",
    "n/Thumbs.db",
    ".cache/huggingface/download/x.metadata",
    "deep/er/.git/HEAD",
    "submodule/.git",
    "weighlock.toml",
    "._a.txt",
    "golden/.weighlock-0123456789abcdef.tmp",
  ]
  const taken = [
    ".cache/other.txt",
    ".weighlock-notes.tmp",
    "__pycache__.txt",
    "a.txt",
    "git/x",
    "huggingface/x",
    "n/.gitattributes",
    "src/b.py",
    "x.pyc",
  ]
  model([...dropped, ...taken])
  const { files, leftOut } = await signAndVerify()
  assert.deepEqual(paths(files), taken)
  assert.deepEqual(paths(leftOut), [
    "._a.txt",
    ".cache/huggingface",
    ".ipynb_checkpoints",
    "__pycache__",
    "deep/er/.git",
    "golden/.weighlock-0123456789abcdef.tmp",
    "n/.DS_Store",
    "n/.ipynb_checkpoints",
    "n/Thumbs.db",
    "src/__pycache__",
    "submodule/.git",
    "weighlock.toml",
  ])
})

test(".weighlockignore is gitignore: folders, negation, anchors, comments, files below, the case of letters", async () => {
  model([
    "a.log",
    "keep.log",
    "B.LOG",
    "sub/c.log",
    "sub/keep.log",
    "runs/1/x",
    "deep/runs/2",
    "top/x",
    "in/top/x",
    "in/y.tmp",
    "in/z.tmp",
    "#x",
  ])
  write(".weighlockignore", "\ufeff# logs\r\n*.log\r\n!keep.log\r\nruns/\r\n/top\r\nnothing-of-this-name\r\n\\#x\r\n")
  write("in/.weighlockignore", "*.tmp\n!z.tmp\n")
  const { files, leftOut } = await signAndVerify()
  assert.deepEqual(paths(files), ["B.LOG", "in/top/x", "in/z.tmp", "keep.log", "sub/keep.log"])
  assert.deepEqual(leftOut, [
    { path: "#x", why: ".weighlockignore: \\#x" },
    { path: ".weighlockignore", why: "says what is left out" },
    { path: "a.log", why: ".weighlockignore: *.log" },
    { path: "deep/runs", why: ".weighlockignore: runs/" },
    { path: "in/.weighlockignore", why: "says what is left out" },
    { path: "in/y.tmp", why: ".weighlockignore: *.tmp" },
    { path: "runs", why: ".weighlockignore: runs/" },
    { path: "sub/c.log", why: ".weighlockignore: *.log" },
    { path: "top", why: ".weighlockignore: /top" },
  ])
})
test("what is left out by a rule of ours is taken when .weighlockignore or --include says so", async () => {
  model(["a", "x/__pycache__/m.pyc", "x/__pycache__/n.pyc", ".DS_Store"])
  write(".weighlockignore", "!.DS_Store\n!.weighlockignore\n!*\n__pycache__\n")
  const { files, leftOut } = await signAndVerify("--include", "x/__pycache__/m.pyc")
  assert.deepEqual(paths(files), [".DS_Store", "a", "x/__pycache__/m.pyc"])
  assert.deepEqual(paths(leftOut), [".weighlockignore", "x/__pycache__/n.pyc"])
})
test(".weighlockignore that is a link to nothing is said, not passed over", async () => {
  model(["a"])
  symlinkSync("nowhere", cli.path("model/.weighlockignore"))
  assert.deepEqual(await cli.refusal("sign", "model", ...as), { exit: 2, code: "USAGE" })
})
test("--exclude goes with all of it: a path above, below or beside what is left out anyway", async () => {
  model(["a", "x/b", "x/__pycache__/m.pyc", "y/c"])
  write(".weighlockignore", "y/\n")
  const { files, leftOut } = await signAndVerify(
    "--exclude",
    "x",
    "--exclude",
    "x/b",
    "--exclude",
    "y/c",
    "--exclude",
    "./y/",
  )
  assert.deepEqual(paths(files), ["a"])
  assert.deepEqual(paths(leftOut), [".weighlockignore", "x", "y"])
  for (const path of ["nothing", "../reg", "a/../x"])
    assert.deepEqual(await cli.refusal("sign", "model", ...as, "--exclude", path), { exit: 2, code: "USAGE" }, path)
})

test("a path that no manifest can name is left out with its folder, or its publisher is asked to move it", async () => {
  model(["a", "logs/2026-11-30T12:00:00.log", "logs/b.log"])
  write(".weighlockignore", "*.log\n")
  const { leftOut } = await signAndVerify()
  assert.deepEqual(paths(leftOut), [".weighlockignore", "logs/2026-11-30T12:00:00.log", "logs/b.log"])
  write("logs/kept.txt", "x")
  assert.deepEqual(await cli.refusal("sign", "model", ...as), { exit: 11, code: "MANIFEST_INVALID" })
})
test(
  "more paths than a manifest names: whole folders stand for them, where nothing of them is taken",
  { timeout: 600_000 },
  async () => {
    model(["a"])
    mkdirSync(cli.path("model/logs"))
    for (let i = 0; i < 10_001; i++) writeFileSync(cli.path(`model/logs/${i}.log`), "")
    write(".weighlockignore", "*.log\n")
    assert.equal((await signAndVerify()).leftOut.length, 10_002)
    write("logs/kept.txt", "x")
    assert.deepEqual(await cli.refusal("sign", "model", ...as), { exit: 2, code: "TOO_LARGE" })
  },
)

test("pickles are taken with a warning why, by name and by what they hold", async () => {
  model(["a.pkl", "w/pytorch_model-00001-of-00002.bin", "m.pt", "plain.bin", "m.joblib"])
  write("hidden.dat", "\u0080\u0004\u0095")
  writeFileSync(cli.path("model/hidden.dat"), Buffer.from("8004950b000000000000008c0568656c6c6f942e", "hex"))
  writeFileSync(
    cli.path("model/zip.ckpt2"),
    Buffer.concat([Buffer.from("PK\u0003\u0004"), Buffer.alloc(26), Buffer.from("archive/data.pkl")]),
  )
  writeFileSync(
    cli.path("model/object.npy"),
    Buffer.from("\u0093NUMPY\u0001\u0000v\u0000{'descr': '|O', 'fortran_order': False}", "latin1"),
  )
  writeFileSync(
    cli.path("model/plain.npy"),
    Buffer.from("\u0093NUMPY\u0001\u0000v\u0000{'descr': '<f4', 'fortran_order': False}", "latin1"),
  )
  const { warnings, files } = await dryRun()
  const pickles = [
    "a.pkl",
    "hidden.dat",
    "m.joblib",
    "m.pt",
    "object.npy",
    "w/pytorch_model-00001-of-00002.bin",
    "zip.ckpt2",
  ]
  assert.deepEqual(paths(warnings), pickles)
  assert.equal(files.length, pickles.length + 2)
  const { stderr } = await cli.run("sign", "model", ...as, "-o", "signed.json")
  assert.match(stderr, /warning: a\.pkl, hidden\.dat, .*: a pickle: loading it in Python runs code/)
})

test("people read the same: on stderr where stdout is an envelope, all 1,000 files, no terminal controls", async () => {
  model(Array.from({ length: 1000 }, (_, i) => `f/${i}.txt`))
  const { stdout, stderr } = await cli.run("sign", "model", ...as)
  assert.equal((JSON.parse(stdout) as { payloadType: string }).payloadType, "application/vnd.in-toto+json")
  assert.match(
    stderr,
    /^takes 1,000 files, .*: format other\nformat other: stored and verified, not loadable by serve\n/,
  )
  assert.equal(stderr.match(/^ +\d+ B  f\/\d+\.txt$/gm)?.length, 1000)
  assert.equal((await cli.run("sign", "model", ...as, "-q")).stderr, "")
})

test("published, published again after a tool dropped something, pulled and verified", async () => {
  const registry = await cli.start(
    "registry",
    "serve",
    "--data",
    "data",
    "--trust",
    "reg/trust.json",
    "--log-level",
    "silent",
  )
  cli.env["WEIGHLOCK_REGISTRY"] = registry.announced.url
  model(["a", "old.log", "x/__pycache__/m.pyc"])
  write(".weighlockignore", "*.log\n")
  const first = await cli.json("publish", "model", ...as)
  assert.deepEqual([first["created"], paths(first["files"] as { path: string }[])], [true, ["a"]])
  await cli.json("verify", "model", "--bundle", String(first["receipt"]))
  write("x/.DS_Store", "dropped since")
  const second = await cli.json("publish", "model", ...as)
  assert.deepEqual([second["created"], second["manifest"]], [false, first["manifest"]])
  // What is left out now, and was not there then, may be of any kind.
  write("venv/readme", "x")
  symlinkSync("/usr/bin/env", cli.path("model/venv/python"))
  write(".weighlockignore", "*.log\nvenv/\n")
  const third = await cli.json("publish", "model", ...as)
  assert.deepEqual([third["created"], third["manifest"]], [false, first["manifest"]])
  await cli.json("pull", "acme/thing@1.0.0", "-o", "out")
  await cli.json("verify", "out", "--bundle", String(first["receipt"]))
})

test("--follow-symlinks publishes a snapshot of a Hub cache, verifies it, and pulls plain files", async () => {
  const repository = "cache/models--acme--tiny"
  mkdirSync(cli.path(repository, "blobs"), { recursive: true })
  mkdirSync(cli.path(repository, "snapshots/5f3c/sub"), { recursive: true })
  writeFileSync(cli.path(repository, "blobs/aa"), "weights")
  chmodSync(cli.path(repository, "blobs/aa"), 0o444)
  symlinkSync("../../blobs/aa", cli.path(repository, "snapshots/5f3c/w.bin"))
  symlinkSync("../../../blobs/aa", cli.path(repository, "snapshots/5f3c/sub/w.bin"))
  const snapshot = `${repository}/snapshots/5f3c`
  const publish = ["publish", snapshot, "--as", "acme/tiny@1.0.0"]
  assert.deepEqual(await cli.refusal(...publish), { exit: 11, code: "MANIFEST_INVALID" })
  const { files, receipt } = await cli.json(...publish, "--follow-symlinks")
  assert.deepEqual(paths(files as { path: string }[]), ["sub/w.bin", "w.bin"])
  await cli.json("verify", snapshot, "--bundle", String(receipt), "--follow-symlinks")
  await cli.json("pull", "acme/tiny@1.0.0", "-o", "pulled")
  await cli.json("verify", "pulled", "--bundle", String(receipt))
  symlinkSync("../../../../reg/trust.json", cli.path(snapshot, "x.json"))
  assert.deepEqual(await cli.refusal(...publish, "--follow-symlinks"), { exit: 11, code: "MANIFEST_INVALID" })
})

const otherNames: Readonly<Record<string, readonly [target: string, ignored: string, ...more: string[]]>> = {
  "gc.txt": [".git/config", ""],
  "gc-deep.txt": ["sub/.git/config", ""],
  "log.txt": ["logs/a.txt", "logs/\n"],
  "file.txt": ["sub/b.txt", "/sub/b.txt\n"],
  folder: ["sub", "/sub/b.txt\n"],
  git: [".git", ""],
  "excluded.txt": ["sub/b.txt", "", "--exclude", "sub/b.txt"],
  "nested/x": ["../sub/later/c.txt", "", "--exclude", "sub/later"],
}
for (const [link, [target, ignored, ...more]] of Object.entries(otherNames))
  test(`--follow-symlinks: ${link} -> ${target}, which is left out, is refused by name, or taken with --include`, async () => {
    model(["a", ".git/config", "sub/b.txt", "sub/later/c.txt", "sub/.git/config", "logs/a.txt"])
    write("sub/later/.weighlockignore", "c.txt\n")
    if (ignored !== "") write(".weighlockignore", ignored)
    mkdirSync(dirname(cli.path("model", link)), { recursive: true })
    symlinkSync(target, cli.path("model", link))
    const { code, stdout } = await cli.run("sign", "model", ...as, "--json", "--follow-symlinks", ...more)
    const { error } = JSON.parse(stdout) as { error?: { code: string; message: string } }
    assert.deepEqual([code, error?.code], [11, "MANIFEST_INVALID"])
    assert.ok(error?.message.includes(link) && error.message.includes("left out"), error?.message)
    if (link.includes(".txt")) {
      const { files } = await dryRun("--follow-symlinks", "--include", link, ...more)
      assert.ok(paths(files).includes(link))
    }
  })
test("--follow-symlinks: a link to what is taken is taken; one to an environment file is one", async () => {
  model(["a", "sub/b.txt", "sub/c/d.txt", ".env"])
  symlinkSync("sub/b.txt", cli.path("model/b.txt"))
  symlinkSync("sub/c", cli.path("model/c"))
  const all = [".env", "a", "b.txt", "c/d.txt", "sub/b.txt", "sub/c/d.txt"]
  const follow = ["--follow-symlinks", "--include", ".env"]
  assert.deepEqual(paths((await dryRun(...follow)).files), all)
  symlinkSync(".env", cli.path("model/settings.txt"))
  assert.deepEqual(await cli.refusal("sign", "model", ...as, ...follow), { exit: 7, code: "SECRET_FOUND" })
  assert.deepEqual(await cli.refusal("sign", "model/settings.txt", ...as, "--follow-symlinks"), {
    exit: 7,
    code: "SECRET_FOUND",
  })
  assert.equal((await dryRun(...follow, "--include", "settings.txt")).files.length, all.length + 1)
})
