/** Which format a folder is found to be, what would not load is refused before it is signed, and golden examples. */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { after, test } from "node:test"
import { Cli } from "../support/cli.ts"

const cli = new Cli()
after(() => cli.close())
await cli.json("init", "reg", "--origin", "localhost", "--label", "alice", "--no-passphrase")
cli.env["WEIGHLOCK_TRUST"] = cli.path("reg/trust.json")

type Files = Readonly<Record<string, string | Buffer>>
function model(files: Files): void {
  rmSync(cli.path("model"), { recursive: true, force: true })
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(cli.path("model", name)), { recursive: true })
    writeFileSync(cli.path("model", name), content)
  }
}

const as = ["--as", "acme/thing@1.0.0"] as const
interface Found {
  readonly format: string
  readonly entrypoint?: string
  readonly loadable?: boolean
  readonly files: readonly { path: string }[]
}
async function found(...more: readonly string[]): Promise<[string, string | undefined]> {
  const { format, entrypoint } = (await cli.json("publish", "model", ...as, "--dry-run", ...more)) as unknown as Found
  return [format, entrypoint]
}
async function refusal(...more: readonly string[]): Promise<{ exit: number; code: string; message: string }> {
  const { code: exit, stdout } = await cli.run("sign", "model", ...as, "-o", "no.json", "--json", ...more)
  const { error } = JSON.parse(stdout) as { error?: { code: string; message: string } }
  assert.ok(!existsSync(cli.path("no.json")), "something was signed")
  return { exit, code: error?.code ?? "none", message: error?.message ?? "" }
}

/** y = x · [[1],[2]] */
const topology = {
  class_name: "Sequential",
  config: {
    name: "sum",
    layers: [
      {
        class_name: "Dense",
        config: {
          name: "y",
          units: 1,
          activation: "linear",
          use_bias: false,
          batch_input_shape: [null, 2],
          dtype: "float32",
        },
      },
    ],
  },
  keras_version: "tfjs-layers 4.22.0",
  backend: "tensor_flow.js",
}
const weightsManifest = [{ paths: ["w.bin"], weights: [{ name: "y/kernel", shape: [2, 1], dtype: "float32" }] }]
const artifact = { format: "layers-model", modelTopology: topology, weightsManifest }
const json = JSON.stringify(artifact)
const weights = Buffer.from(new Float32Array([1, 2]).buffer)
const sum: Files = { "model.json": json, "w.bin": weights }

test("a TensorFlow.js model is found with a format, without one, in a sub-folder, and under another name", async () => {
  model(sum)
  assert.deepEqual(await found(), ["tfjs-layers", "model.json"])
  model({ ...sum, "model.json": JSON.stringify({ modelTopology: topology, weightsManifest }) })
  assert.deepEqual(await found(), ["tfjs-layers", "model.json"])
  model({ "tf/js/net.json": json, "tf/js/w.bin": weights, "README.md": "x", "tf/config.json": "{}" })
  assert.deepEqual(await found(), ["tfjs-layers", "tf/js/net.json"])
  const graph = { modelTopology: { node: [], library: {}, versions: {} }, weightsManifest: [] }
  model({ "model.json": JSON.stringify(graph) })
  assert.deepEqual(await found("--no-load-check"), ["tfjs-graph", "model.json"])
})
test("a model.json that others write, and that JSON does not know, is no model of TensorFlow.js", async () => {
  model({ "model.json": `{"learner":{"base_score":NaN,"names":[${'"feature",'.repeat(20)}"last"]}}` })
  assert.deepEqual(await found(), ["other", undefined])
})
test("several below the top are a choice of the publisher; one at the top goes before all below", async () => {
  model({ "a/model.json": json, "a/w.bin": weights, "b/model.json": json, "b/w.bin": weights })
  const { code, message } = await refusal()
  assert.deepEqual([code, message.includes("a/model.json, b/model.json")], ["USAGE", true])
  assert.deepEqual(await found("--entrypoint", "b/model.json"), ["tfjs-layers", "b/model.json"])
  assert.deepEqual(await found("--entrypoint", "./b/model.json"), ["tfjs-layers", "b/model.json"])
  assert.deepEqual(await found("--format", "other"), ["other", undefined])
  model({ ...sum, "a/model.json": json, "a/w.bin": weights })
  assert.deepEqual(await found(), ["tfjs-layers", "model.json"])
  model({ ...sum, "model.safetensors": "x" })
  assert.equal((await refusal()).code, "USAGE")
})

const unloadable: Readonly<Record<string, Files>> = {
  "a number that JSON has not": { ...sum, "model.json": json.replace('"shape":[2,1]', '"shape":[NaN,1]') },
  "JSON that was cut": { ...sum, "model.json": json.slice(0, -20) },
  "JSON that was cut before it says what it is": { ...sum, "model.json": json.slice(0, 30) },
  "JSON that is empty": { ...sum, "model.json": "" },
  "weights that are missing": { "model.json": json },
  "weights that are too short": { ...sum, "w.bin": weights.subarray(1) },
  "a layer that holds code": { ...sum, "model.json": json.replace('"Dense"', '"Lambda"') },
  "weights of another layer": { ...sum, "model.json": json.replace('"name":"y"', '"name":"z"') },
  "a layer with more units than weights": { ...sum, "model.json": json.replace('"units":1', '"units":2') },
  "a golden example with a wrong answer": {
    ...sum,
    "golden/input.json": '{"instances":[[1,2]]}',
    "golden/output.json": '{"predictions":[[6]]}',
  },
  "half a golden example": { ...sum, "golden/input.json": '{"instances":[[1,2]]}' },
}
for (const [what, files] of Object.entries(unloadable)) {
  test(`MODEL_REFUSED before anything is signed: ${what}; who only distributes may`, async () => {
    model(files)
    const { exit, code, message } = await refusal()
    assert.deepEqual([exit, code], [17, "MODEL_REFUSED"], message)
    assert.deepEqual(await cli.refusal("publish", "model", ...as, "--dry-run"), { exit: 17, code: "MODEL_REFUSED" })
    assert.deepEqual(await found("--no-load-check"), ["tfjs-layers", "model.json"])
  })
}
test("who signs further what others have signed is told as well", async () => {
  model(unloadable["a layer that holds code"] ?? {})
  await cli.json("sign", "model", ...as, "--no-load-check", "-o", "signed.json")
  const further = ["sign", "model", "--envelope", "signed.json", "-o", "two.json"]
  assert.deepEqual(await cli.refusal(...further), { exit: 17, code: "MODEL_REFUSED" })
  await cli.json(...further, "--no-load-check")
})

const index = (extension: string, ...shards: readonly string[]): string =>
  JSON.stringify({
    metadata: {},
    weight_map: Object.fromEntries(shards.map((shard, i) => [`w${i}`, `${shard}${extension}`])),
  })
const shards = ["model-00001-of-00002", "model-00002-of-00002"]
const others: Readonly<Record<string, { files: Files; is: readonly [string, string?] }>> = {
  "sharded safetensors": {
    files: {
      "model.safetensors.index.json": index(".safetensors", ...shards),
      "model-00001-of-00002.safetensors": "1",
      "model-00002-of-00002.safetensors": "2",
      "config.json": "{}",
      "tokenizer.json": "{}",
    },
    is: ["safetensors", "model.safetensors.index.json"],
  },
  "sharded safetensors beside one consolidated file": {
    files: {
      "model.safetensors.index.json": index(".safetensors", ...shards),
      "model-00001-of-00002.safetensors": "1",
      "model-00002-of-00002.safetensors": "2",
      "consolidated.safetensors": "12",
    },
    is: ["safetensors", "model.safetensors.index.json"],
  },
  "sharded safetensors below the top": {
    files: {
      "README.md": "x",
      "m/model.safetensors.index.json": index(".safetensors", ...shards),
      "m/model-00001-of-00002.safetensors": "1",
      "m/model-00002-of-00002.safetensors": "2",
    },
    is: ["safetensors", "m/model.safetensors.index.json"],
  },
  "PyTorch shards": {
    files: {
      "pytorch_model.bin.index.json": index(".bin", "pytorch_model-00001-of-00001"),
      "pytorch_model-00001-of-00001.bin": "1",
      "config.json": "{}",
    },
    is: ["other", "config.json"],
  },
  "one model in every format of the Hub": {
    files: {
      "config.json": "{}",
      "model.safetensors": "1",
      "pytorch_model.bin": "1",
      "tf_model.h5": "1",
      "onnx/model.onnx": "1",
      "vocab.txt": "x",
    },
    is: ["safetensors", "model.safetensors"],
  },
  "a diffusers pipeline": {
    files: {
      "model_index.json": "{}",
      "unet/diffusion_pytorch_model.safetensors": "1",
      "vae/diffusion_pytorch_model.safetensors": "1",
    },
    is: ["other", "model_index.json"],
  },
  "one GGUF file": { files: { "tiny-q4.gguf": "GGUF", "README.md": "x" }, is: ["other", "tiny-q4.gguf"] },
  "one GGUF model in two files": {
    files: { "tiny-00002-of-00002.gguf": "2", "tiny-00001-of-00002.gguf": "1" },
    is: ["other", "tiny-00001-of-00002.gguf"],
  },
  "quantised GGUF files": { files: { "q4.gguf": "1", "q8.gguf": "2" }, is: ["other"] },
  "a saved model below the top": {
    files: { "1/saved_model.pb": "x", "1/variables/variables.index": "x" },
    is: ["saved-model", "1/saved_model.pb"],
  },
  "an ONNX model": { files: { "Model.ONNX": "x", "config.json": "{}" }, is: ["onnx", "Model.ONNX"] },
  "JSON of other kinds": {
    files: { "a.json": "{", "b.json": '{"weightsManifest":1}', "c.json": "[1]", "package.json": "{}" },
    is: ["other"],
  },
}
for (const [what, { files, is }] of Object.entries(others)) {
  test(`found: ${what}`, async () => {
    model(files)
    assert.deepEqual(await found("--no-load-check"), [is[0], is[1]])
  })
}
test("an index whose shards are not all there is refused; so is one that names none", async () => {
  model({ "model.safetensors.index.json": index(".safetensors", ...shards), "model-00001-of-00002.safetensors": "1" })
  const { exit, message } = await refusal()
  assert.deepEqual([exit, message.includes("model-00002-of-00002.safetensors")], [17, true])
  assert.deepEqual(await found("--no-load-check"), ["safetensors", "model.safetensors.index.json"])
  model({
    "pytorch_model.bin.index.json": index(".bin", ...shards),
    "model-00001-of-00002.bin": "1",
    "config.json": "{}",
  })
  assert.equal((await refusal()).exit, 17)
  model({ "model-00001-of-00002.safetensors": "1", "model-00002-of-00002.safetensors": "2", "config.json": "{}" })
  const { code, message: missing } = await refusal()
  assert.deepEqual([code, missing.includes("its index is missing")], ["USAGE", true])
  assert.deepEqual(await found("--format", "other"), ["other", undefined])
  model({ "model.safetensors.index.json": "{}" })
  assert.equal((await refusal()).code, "MODEL_REFUSED")
})

const question = '{"instances": [[1, 2], [3, 4]]}\n'
test("--golden: the question as it is, the answer of this model, both part of it and verified", async () => {
  model(sum)
  writeFileSync(cli.path("question.json"), question)
  const dry = (await cli.json("publish", "model", ...as, "--dry-run", "--golden", "question.json")) as unknown as Found
  const names = ["golden/input.json", "golden/output.json", "model.json", "w.bin"]
  assert.deepEqual(
    dry.files.map(({ path }) => path),
    names,
  )
  assert.ok(!existsSync(cli.path("model/golden")), "a dry run wrote into the model")
  const { stderr } = await cli.run("sign", "model", ...as, "--golden", "question.json", "-o", "golden.json")
  assert.match(stderr, /golden\/input\.json and golden\/output\.json .*become public/)
  assert.equal(readFileSync(cli.path("model/golden/input.json"), "utf8"), question)
  const output = JSON.parse(readFileSync(cli.path("model/golden/output.json"), "utf8")) as unknown
  assert.deepEqual(output, { predictions: [[5], [11]], tolerance: 1e-4 })
  await cli.json("verify", "model", "--bundle", "golden.json")
  // The same question again changes nothing, also when the question is the file that is there.
  for (const file of ["question.json", "model/golden/input.json"]) {
    const again = (await cli.json("sign", "model", ...as, "--golden", file, "-o", "again.json")) as unknown as Found
    assert.deepEqual(again.files, dry.files)
  }
})
const conflicts: Readonly<Record<string, () => void>> = {
  "another question": () => writeFileSync(cli.path("model/golden/input.json"), '{"instances":[[1,1]]}'),
  "another answer": () => writeFileSync(cli.path("model/golden/output.json"), '{"predictions":[[6],[11]]}'),
  "a link": () => symlinkSync("../../question.json", cli.path("model/golden/input.json")),
}
for (const [what, make] of Object.entries(conflicts)) {
  test(`--golden never replaces ${what}`, async () => {
    model(sum)
    mkdirSync(cli.path("model/golden"))
    writeFileSync(cli.path("question.json"), question)
    make()
    const before = ["input", "output"].map((name) => existsSync(cli.path(`model/golden/${name}.json`)))
    const { code } = await refusal("--golden", "question.json", ...(what === "a link" ? ["--follow-symlinks"] : []))
    assert.ok(code === "CONFLICT" || what === "a link", code)
    assert.notEqual(code, "none")
    assert.deepEqual(
      ["input", "output"].map((name) => existsSync(cli.path(`model/golden/${name}.json`))),
      before,
    )
  })
}
test("--golden: a folder golden that is a link elsewhere is not written into", async () => {
  model(sum)
  rmSync(cli.path("outside"), { recursive: true, force: true })
  mkdirSync(cli.path("outside"))
  symlinkSync("../outside", cli.path("model/golden"))
  assert.notEqual((await refusal("--golden", "question.json", "--exclude", "golden")).code, "none")
  assert.ok(!existsSync(cli.path("outside/input.json")))
})
for (const [what, ignored, ...more] of [
  ["a rule about the folder", "golden\n"],
  ["a rule about files", "*.json\n!model.json\n"],
  ["a rule about the answer", "/golden/output.json\n"],
  ["--exclude", "", "--exclude", "golden"],
] as const)
  test(`--golden with ${what} that leaves it out: USAGE, rehearsed or not, and nothing is written`, async () => {
    model(sum)
    if (more.length > 0) mkdirSync(cli.path("model/golden"))
    else writeFileSync(cli.path("model/.weighlockignore"), ignored)
    writeFileSync(cli.path("question.json"), question)
    const golden = ["--golden", "question.json", ...more]
    for (const command of [["publish", "--dry-run"], ["publish"], ["sign", "-o", "no.json"]])
      assert.deepEqual(await cli.refusal(...command, "model", ...as, ...golden), { exit: 2, code: "USAGE" })
    for (const name of ["input", "output"]) assert.ok(!existsSync(cli.path(`model/golden/${name}.json`)))
    assert.equal(existsSync(cli.path("model/golden")), more.length > 0)
  })
test("--golden: no question, one of another shape, one too large, no file, a format nobody loads, an envelope of others", async () => {
  model(sum)
  const cases: readonly (readonly [string, string, number])[] = [
    ["{}", "INPUT_INVALID", 2],
    ['{"instances":[[1,2,3]]}', "INPUT_INVALID", 2],
    [`{"instances":[[1,2]]}${" ".repeat(2 ** 20)}`, "INPUT_INVALID", 2],
  ]
  for (const [text, expected, exitCode] of cases) {
    writeFileSync(cli.path("bad.json"), text)
    const { exit, code } = await refusal("--golden", "bad.json")
    assert.deepEqual([exit, code], [exitCode, expected], text.slice(0, 40))
  }
  assert.equal((await refusal("--golden", "nothing.json")).code, "NOT_FOUND")
  execFileSync("mkfifo", [cli.path("fifo")])
  for (const none of ["fifo", "/dev/zero", "model"]) assert.equal((await refusal("--golden", none)).code, "USAGE", none)
  writeFileSync(cli.path("question.json"), question)
  assert.equal((await refusal("--golden", "question.json", "--meta", "bad")).code, "USAGE")
  assert.ok(!existsSync(cli.path("model/golden")))
  writeFileSync(cli.path("secret.json"), `{"instances":[[1,2]],"note":"ghp_${"a1B2".repeat(9)}"}`)
  for (const dry of [[], ["--dry-run"]])
    assert.equal((await cli.refusal("publish", "model", ...as, "--golden", "secret.json", ...dry)).code, "SECRET_FOUND")
  await cli.json("sign", "model", ...as, "-o", "plain.json")
  assert.equal(
    (await cli.refusal("sign", "model", "--envelope", "plain.json", "--golden", "question.json")).code,
    "USAGE",
  )
  model({ "m.onnx": "x" })
  assert.equal((await refusal("--golden", "question.json")).code, "MODEL_REFUSED")
  assert.ok(!existsSync(cli.path("model/golden")))
})

test("weights that Git LFS has not fetched: the reason is said beside what the loader says", async () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 8\n`
  const weights = [{ name: "y/kernel", shape: [2, 1], dtype: "float32" }]
  const manifest = [{ paths: ["weights.bin"], weights }]
  model({
    "model.json": JSON.stringify({ format: "layers-model", modelTopology: topology, weightsManifest: manifest }),
    "weights.bin": pointer,
  })
  const { code, stdout } = await cli.run("sign", "model", ...as, "-o", "no.json", "--json")
  const { error } = JSON.parse(stdout) as { error: { code: string; hint: string } }
  assert.deepEqual([code, error.code], [17, "MODEL_REFUSED"])
  assert.match(error.hint, /^weights\.bin is a pointer of Git LFS: .*git lfs pull.*--no-load-check/)
})
