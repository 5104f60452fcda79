/**
 * The whole product as a short story, with the real parts: a network trained on the real digits, the real CLI, a real
 * registry, a real runtime; then three attacks, and a history that is rewritten.
 *
 *     npx -y pnpm@12.21.0 demo [--epochs 5]
 */
import { open, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { startImpostor } from "./impostor.ts"
import { type Digits, imageAt, readDigits } from "./mnist.ts"
import { bold, clearStatus, dim, drawAnswer, green, heading, red, say, status } from "./screen.ts"
import { Stage, type Started } from "./stage.ts"
import { makeNetwork, save, train } from "./train.ts"

const { values } = parseArgs({ options: { epochs: { type: "string", default: "1" } } })
const epochs = Number(values.epochs)
if (!Number.isInteger(epochs) || epochs < 1 || epochs > 50) {
  process.stderr.write(`error: --epochs ${values.epochs} is not a number from 1 to 50\n`)
  process.exit(2)
}

const startedAt = Date.now()
const stage = new Stage()
const firstTry = 6_000

async function trainBoth(digits: Digits): Promise<void> {
  heading(`Train the notebook's network on the ${digits.count.toLocaleString("en")} real digits of MNIST`)
  const network = await makeNetwork()
  const total = firstTry + epochs * digits.count
  const progress = (before: number) => (done: number, loss: number) =>
    status(`${Math.floor((100 * (before + done)) / total)} %  loss ${loss.toFixed(3)}`)
  await train(network, digits, { from: 0, to: firstTry, epochs: 1 }, progress(0))
  await save(network, stage.path("first-try"))
  await train(network, digits, { from: 0, to: digits.count, epochs }, progress(firstTry))
  await save(network, stage.path("model"))
  clearStatus()
  say(
    `   28×28 → 128 → 10, ${epochs} epoch${epochs === 1 ? "" : "s"}; a first try after ${firstTry.toLocaleString("en")} digits is kept as version 1.0.0`,
  )
}

async function publishBoth(): Promise<Started> {
  heading("Sign and publish both versions")
  await stage.must("alice", [
    "init",
    "alice-registry",
    "--origin",
    "models.acme.example",
    "--label",
    "alice",
    "--no-passphrase",
  ])
  const registry = await stage.start("operator", ["registry", "serve", "--data", "registry-data", "--trust", trustFile])
  for (const [folder, version] of [
    ["first-try", "1.0.0"],
    ["model", "1.1.0"],
  ] as const) {
    const { manifest } = await stage.must("alice", [
      "publish",
      folder,
      "--as",
      `acme/mnist@${version}`,
      "--key",
      "alice",
      "--trust",
      trustFile,
      "--registry",
      registry.announced.url,
    ])
    say(`   acme/mnist@${version}  ${dim(String(manifest))}`)
  }
  return registry
}

const trustFile = join("alice-registry", "trust.json")

async function serve(registry: Started): Promise<Started> {
  heading("Serve it: fetch, verify the signature and every digest, load exactly those bytes")
  const service = await stage.start("service", [
    "serve",
    "mnist=acme/mnist@1.1.0",
    "--port",
    "0",
    "--trust",
    trustFile,
    "--registry",
    registry.announced.url,
  ])
  const [model] = (service.announced as unknown as { models: { manifest: string; engine: string }[] }).models
  say(`   ready at ${service.announced.url}, engine ${model?.engine}, manifest ${dim(String(model?.manifest))}`)
  return service
}

async function predict(
  service: Started,
  instances: readonly unknown[],
): Promise<{ predictions: number[][]; manifest: string }> {
  const response = await fetch(`${service.announced.url}/v1/models/mnist:predict`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ instances }),
  })
  if (!response.ok) throw new Error(`predict answered ${response.status}: ${await response.text()}`)
  const { predictions } = (await response.json()) as { predictions: number[][] }
  return { predictions, manifest: response.headers.get("weighlock-manifest") ?? "" }
}

async function ask(service: Started): Promise<void> {
  heading("Ask it about a digit it has never seen")
  const digits = await readDigits("t10k")
  const image = imageAt(digits, 0)
  const { predictions, manifest } = await predict(service, [image])
  drawAnswer(image, predictions[0] ?? [])
  say(`   The label says ${digits.labels[0]}. Every answer names its model: ${dim(manifest)}`)

  const zero = await predict(service, [Array.from({ length: 28 }, () => Array<number>(28).fill(0))])
  say(`   The notebook's all-zero image: {"prob":[${zero.predictions[0]?.map((share) => share.toFixed(3)).join(",")}]}`)
  say(
    `   All ${digits.count.toLocaleString("en")} test digits: accuracy ${bold((await accuracy(service, digits)).toFixed(4))}`,
  )
}

async function accuracy(service: Started, digits: Digits): Promise<number> {
  let right = 0
  for (let at = 0; at < digits.count; at += 500) {
    const { predictions } = await predict(
      service,
      Array.from({ length: 500 }, (_, index) => imageAt(digits, at + index)),
    )
    right += predictions.filter((prob, index) => prob.indexOf(Math.max(...prob)) === digits.labels[at + index]).length
    status(`${at + 500} asked`)
  }
  clearStatus()
  return right / digits.count
}

/** A new service starts against `registry`, with an empty cache; it must refuse with `code`, and the old one go on. */
async function mustRefuse(what: string, who: string, registry: string, code: string, service: Started): Promise<void> {
  say(`   ${what}`)
  const outcome = await stage.run(who, [
    "serve",
    "mnist=acme/mnist@1.1.0",
    "--port",
    "0",
    "--trust",
    trustFile,
    "--registry",
    registry,
    "--json",
  ])
  const { error } = JSON.parse(outcome.stdout.split("\n")[0] || "{}") as { error?: { code: string; message: string } }
  if (outcome.code === 0 || error?.code !== code)
    throw new Error(`expected ${code}, got exit ${outcome.code}: ${outcome.stdout}${outcome.stderr}`)
  say(`     ${red("refused")} ${bold(code)} (exit ${outcome.code}): ${error.message}`)
  await predict(service, [Array.from({ length: 28 }, () => Array<number>(28).fill(0))])
  say(`     ${green("the running service still answers")}`)
}

async function flippedByte(registry: Started, service: Started): Promise<void> {
  const { resources } = (await stage.must("alice", [
    "show",
    "acme/mnist@1.1.0",
    "--trust",
    trustFile,
    "--registry",
    registry.announced.url,
  ])) as { resources: { name: string; sha256: string }[] }
  const digest = resources.find(({ name }) => name.endsWith(".bin"))?.sha256 ?? ""
  const blob = stage.path("registry-data", "blobs", digest.slice(0, 2), digest)
  const before = await readFile(blob)
  const file = await open(blob, "r+").catch(async () => {
    throw new Error(`no blob at ${blob}`)
  })
  await file.write(Uint8Array.of((before[1000] ?? 0) ^ 1), 0, 1, 1000)
  await file.close()
  await mustRefuse(
    "(a) Someone with write access to the bucket flips one bit of the weights.",
    "victim-a",
    registry.announced.url,
    "DIGEST_MISMATCH",
    service,
  )
  await writeFile(blob, before)
}

async function strangersKey(registry: Started, service: Started): Promise<void> {
  await stage.must("stranger", ["key", "new", "stranger", "--no-passphrase"])
  await stage.must("stranger", [
    "sign",
    "first-try",
    "--as",
    "acme/mnist@1.1.0",
    "--key",
    "stranger",
    "--trust",
    trustFile,
    "-o",
    "forged.json",
  ])
  const address = "/api/v1/models/acme/mnist/versions/1.1.0"
  const genuine = (await (await fetch(`${registry.announced.url}${address}`)).json()) as object
  const forged = { ...genuine, envelope: JSON.parse(await readFile(stage.path("forged.json"), "utf8")) as unknown }
  const impostor = await startImpostor(registry.announced.url, address, Buffer.from(JSON.stringify(forged)))
  await mustRefuse(
    "(b) A lying registry offers another model as 1.1.0, signed by a stranger, with the real one's proof.",
    "victim-b",
    impostor.url,
    "SIGNER_UNTRUSTED",
    service,
  )
  impostor.close()
}

async function olderVersion(registry: Started, service: Started): Promise<void> {
  const older = await fetch(`${registry.announced.url}/api/v1/models/acme/mnist/versions/1.0.0`)
  const impostor = await startImpostor(
    registry.announced.url,
    "/api/v1/models/acme/mnist/versions/1.1.0",
    Buffer.from(await older.arrayBuffer()),
  )
  await mustRefuse(
    "(c) It offers 1.0.0, validly signed by alice herself, to whoever asks for 1.1.0.",
    "victim-c",
    impostor.url,
    "SUBJECT_MISMATCH",
    service,
  )
  impostor.close()
}

interface Audit {
  readonly clean: boolean
  readonly entries: number
  readonly findings: readonly { readonly code: string; readonly check: string; readonly message: string }[]
}

async function audit(
  who: string,
  registry: Started,
  ...more: readonly string[]
): Promise<{ code: number; report: Audit }> {
  const { code, stdout, stderr } = await stage.run(who, [
    "audit",
    "--trust",
    trustFile,
    "--registry",
    registry.announced.url,
    "--json",
    ...more,
  ])
  if (code !== 0 && code !== 14) throw new Error(`audit ended with ${code}: ${stdout}${stderr}`)
  return { code, report: JSON.parse(stdout) as Audit }
}

async function mustFind(
  what: string,
  who: string,
  registry: Started,
  expected: string,
  ...more: readonly string[]
): Promise<void> {
  const { code, report } = await audit(who, registry, ...more)
  const found = report.findings.find((finding) => finding.code === expected)
  if (code !== 14 || found === undefined) throw new Error(`expected ${expected}: ${JSON.stringify(report)}`)
  say(`   ${what}\n     ${red("found")} ${bold(found.code)} (exit ${code}): ${found.message}`)
}

const receipts = stage.path("alice", "keys", "receipts")

/** With the same trust root and the same log key, and every signature on what is left genuine. */
async function rewriteHistory(registry: Started): Promise<Started> {
  const kept = await fetch(`${registry.announced.url}/api/v1/models/acme/mnist/versions/1.1.0`)
  const { envelope } = (await kept.json()) as { envelope: unknown }
  await writeFile(stage.path("kept.json"), JSON.stringify(envelope))
  await registry.stop()
  const rewritten = await stage.start("operator", ["registry", "serve", "--data", "rewritten", "--trust", trustFile])
  await stage.must("operator", [
    "publish",
    "model",
    "--envelope",
    "kept.json",
    "--trust",
    trustFile,
    "--registry",
    rewritten.announced.url,
  ])
  return rewritten
}

async function lastAct(registry: Started): Promise<Started> {
  heading("Last act: the registry's operator edits history")
  const { report } = await audit("auditor", registry, "--receipts", receipts)
  if (!report.clean) throw new Error(`the honest log was found guilty: ${JSON.stringify(report)}`)
  say(`   Before: an auditor replays the log, ${report.entries} entries, ${green("nothing found")}`)
  const rewritten = await rewriteHistory(registry)
  say("   The operator makes 1.0.0 never have happened: a new log, signed with the real log key.")
  await mustFind("The auditor who looked before:", "auditor", rewritten, "ROLLBACK")
  await mustFind("Somebody new, with alice's receipts:", "newcomer", rewritten, "WITHHELD", "--receipts", receipts)
  return rewritten
}

say(bold("Weighlock: no model reaches the GPU unweighed."))
await trainBoth(await readDigits("train"))
const registry = await publishBoth()
const service = await serve(registry)
await ask(service)
heading("Three attacks on whoever starts next")
await flippedByte(registry, service)
await strangersKey(registry, service)
await olderVersion(registry, service)
await service.stop()
const rewritten = await lastAct(registry)
await rewritten.stop()
say(`\n${green("Done")} in ${Math.round((Date.now() - startedAt) / 1000)} s. Nothing is left behind.`)
process.exit(0)
