/**
 * What must not be published by accident, each kind made here by the tool that makes it, and what only looks like it.
 * Tokens are put together from pieces, so that nobody's scanner takes this file for a leak.
 */
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { generateKeyPairSync, randomBytes } from "node:crypto"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
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
  for (const [name, content] of Object.entries({ "notes.txt": "a model of sorts", ...files })) {
    mkdirSync(dirname(cli.path("model", name)), { recursive: true })
    writeFileSync(cli.path("model", name), content)
  }
}

async function refusedPaths(...more: readonly string[]): Promise<string> {
  const { code, stdout } = await cli.run("publish", "model", "--as", "acme/x@1.0.0", "--dry-run", "--json", ...more)
  if (code === 0) return ""
  const { error } = JSON.parse(stdout) as { error: { code: string; message: string } }
  assert.deepEqual([code, error.code], [7, "SECRET_FOUND"])
  return error.message
}

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 })
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" })
const ed = generateKeyPairSync("ed25519")
const dsa = generateKeyPairSync("dsa", { modulusLength: 2048, divisorLength: 256 })
const pem = ed.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
const rsaPem = rsa.privateKey.export({ type: "pkcs1", format: "pem" }).toString()
const locked = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const
const chars = (count: number): string => randomBytes(count).toString("hex").slice(0, count)
const pieces = (...each: readonly string[]): string => each.join("")
const begin = (label: string): string => `-----BEGIN ${label}-----`
const safetensors = (header: unknown, mebibytes: number): Buffer => {
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, randomBytes(mebibytes * 2 ** 20)])
}
const body64 = `${randomBytes(48).toString("base64")}\n`

const keys: Files = {
  "pkcs8.pem": pem,
  "encrypted.txt": ec.privateKey.export(locked),
  "rsa.pem": rsaPem,
  "old-encrypted.pem": `${begin("RSA PRIVATE KEY")}\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0102\n\n${body64}`,
  "ec.pem": ec.privateKey.export({ type: "sec1", format: "pem" }),
  "dsa.key": dsa.privateKey.export({ type: "pkcs8", format: "pem" }),
  id_ed25519: `${begin("OPENSSH PRIVATE KEY")}\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ${"A".repeat(28)}\n${body64}`,
  "putty.ppk": `PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: me\nPublic-Lines: 2\nAAAA\nPrivate-Lines: 1\nAAAA\n`,
  "pgp.asc": `${begin("PGP PRIVATE KEY BLOCK")}\nVersion: GnuPG v2\n\n${body64}${body64}`,
  "cosign.key": `${begin("ENCRYPTED SIGSTORE PRIVATE KEY")}\n${body64}`,
  "crlf.pem": rsaPem.replaceAll("\n", "\r\n"),
  "one-line.txt": rsaPem.replaceAll("\n", " "),
  "utf16.txt": Buffer.from(`\ufeff${rsaPem}`, "utf16le"),
  "in.json": JSON.stringify({ key: rsaPem }),
  "in-string.json": JSON.stringify({ nested: JSON.stringify({ key: rsaPem }) }),
  "in.yaml": `key: |\n${rsaPem.replaceAll(/^/gm, "    ")}\n`,
  "in.ipynb": JSON.stringify({ cells: [{ source: rsaPem.split("\n").map((line) => `${line}\n`) }] }, null, 1),
  "in.py": rsaPem
    .trim()
    .split("\n")
    .map((line) => `    "${line}\\n" +`)
    .join("\n"),
  "service.log": rsaPem.replaceAll(/^/gm, "2026-11-30 12:00:00 INFO  "),
  "page.xml": `<key>${rsaPem.replaceAll("\n", "&#10;")}</key>`,
  "key.tar": Buffer.concat([Buffer.alloc(512, "\0"), Buffer.from(rsaPem), Buffer.alloc(2048)]),
  "packed.yaml": `client-key: ${Buffer.from(rsaPem).toString("base64")}\n`,
  "packed1.json": `{"x":"${Buffer.from(`:${rsaPem}`).toString("base64")}"}`,
  "packed2.json": `{"x":"${Buffer.from(`::${rsaPem}`).toString("base64")}"}`,
  "late.json": `{"vocabulary":[${'"token",\n'.repeat(400_000)}"${pem.replaceAll("\n", "\\n")}"]}`,
  "late.bin": Buffer.concat([randomBytes(3 * 2 ** 20), Buffer.from(rsaPem), randomBytes(2 ** 20)]),
  "across.txt": "x".repeat(2 ** 20 - 40) + rsaPem + "x".repeat(2 ** 20),
  "short.pem": `${begin("RSA PRIVATE KEY")}\nMIICXAIBAAKBgQ\n-----END RSA PRIVATE KEY-----\n`,
  "der.bin": ec.privateKey.export({ type: "pkcs8", format: "der" }),
  "pkcs1.weights": rsa.privateKey.export({ type: "pkcs1", format: "der" }),
  "sec1.dat": ec.privateKey.export({ type: "sec1", format: "der" }),
  "locked.dat": ed.privateKey.export({ ...locked, format: "der" }),
  "base64.txt": `${ed.privateKey.export({ type: "pkcs8", format: "der" }).toString("base64")}\n`,
  "folded.txt": rsaPem.replaceAll(/-----.*\n/g, ""),
  "hex.txt": ec.privateKey.export({ type: "sec1", format: "der" }).toString("hex"),
  "named.properties": `jwt.private-key=${rsa.privateKey.export({ type: "pkcs8", format: "der" }).toString("base64")}\n`,
  "named.sh": `export APP_KEY="${ed.privateKey.export({ type: "pkcs8", format: "der" }).toString("base64")}"\n`,
  "url.txt": `key=${encodeURIComponent(rsaPem)}&x=1\n`,
  "no-mark.txt": Buffer.from(rsaPem, "utf16le"),
  "tuf.json": JSON.stringify({ keytype: "ed25519", keyval: { private: chars(64), public: chars(64) } }),
  "store.jks": Buffer.concat([Buffer.from("feedfeed0000000200000001", "hex"), randomBytes(500)]),
  "age.txt": `# created: 2026\n${["AGE-SECRET", "KEY-1"].join("-")}${chars(58).toUpperCase()}\n`,
  "jwk.json": JSON.stringify(ed.privateKey.export({ format: "jwk" })),
  "jwks.json": JSON.stringify({ keys: [rsa.privateKey.export({ format: "jwk" })] }, null, 2),
  "secret-jwk.json": JSON.stringify({ kty: "oct", k: randomBytes(32).toString("base64url") }),
  "note.key": `${["PRIVATE", "KEY"].join("+")}+log.example+${chars(8)}+${randomBytes(33).toString("base64")}\n`,
}
const credentials: Files = {
  ".env": "DEBUG=1\n",
  ".env.local": "DEBUG=1\n",
  ".env2": "DEBUG=1\n",
  ".env copy": "DEBUG=1\n",
  ".flaskenv": "DEBUG=1\n",
  "default.env": "DEBUG=1\n",
  "drive/rclone.conf": "[d]\ntype = drive\n",
  "magic.ipynb": JSON.stringify({ source: [`%env AWS_SECRET_ACCESS_KEY ${randomBytes(30).toString("base64")}\n`] }),
  Dockerfile: `FROM x\nENV AWS_SECRET_ACCESS_KEY ${randomBytes(30).toString("base64")}\n`,
  "setup.sh": `aws configure set aws_secret_access_key ${randomBytes(30).toString("base64")}\n`,
  "azure.env.txt": `AZURE_STORAGE_KEY=${randomBytes(64).toString("base64")}\n`,
  "login.py": `wandb.login(key="${chars(40)}")\n`,
  "login.ipynb": JSON.stringify({ source: [`!wandb login ${chars(40)}\n`] }),
  "pull.yaml": `kind: Secret\ndata:\n  .dockerconfigjson: ${Buffer.from('{"auths":{"r":{"auth":"eDp5"}}}').toString("base64")}\n`,
  "config.kube.json": JSON.stringify({ kind: "Config", users: [{ user: { token: chars(40) } }] }),
  "pip.conf": `[global]\nindex-url = https://ci:${chars(16)}@pypi.corp.internal/simple\n`,
  "google.txt": `${pieces("ya", "29.", chars(80))}\n`,
  "kaggle.txt": `${pieces("KG", "AT_", chars(32))}\n`,
  "mc.json": JSON.stringify({ aliases: { a: { url: "https://s3.corp", accessKey: "me", secretKey: chars(32) } } }),
  ".env~": "DEBUG=1\n",
  "main.tfvars": `access_key = "${pieces("AKIA", "ABCDEFGH".repeat(2))}"\nsecret_key = "${randomBytes(30).toString("base64")}"\n`,
  "ssh/id_rsa": "unreadable\n",
  "certificate.pfx": "unreadable\n",
  "deploy/prod.env": "DEBUG=1\n",
  ".aws/credentials": "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n",
  "aws.ini": `aws_secret_access_key = ${randomBytes(30).toString("base64")}\n`,
  "keys.csv": `Access key ID,Secret access key\n${["AK", "IA"].join("")}${"ABCDEFGH".repeat(2)},${randomBytes(30).toString("base64")}\n`,
  "service.json": JSON.stringify({ type: "service_account", private_key_id: chars(40), private_key: pem }),
  "adc.json": JSON.stringify({ type: "authorized_user", client_secret: chars(24), refresh_token: chars(60) }),
  "azure.txt": `DefaultEndpointsProtocol=https;AccountKey=${randomBytes(64).toString("base64")};\n`,
  ".netrc": "machine huggingface.co login me password x\n",
  ".npmrc": `//npm.example/:_authToken=${chars(36)}\n`,
  ".pypirc": "[pypi]\nusername = __token__\n",
  ".git-credentials": "https://me:x@github.example\n",
  "docker.json": JSON.stringify({ auths: { "r.example": { auth: Buffer.from("me:secret").toString("base64") } } }),
  kubeconfig: `apiVersion: v1\nkind: Config\nusers:\n- name: me\n  user:\n    client-key-data: ${chars(60)}\n`,
  ".huggingface/token": "x\n",
  "train.py": `login(token="${pieces("hf_", chars(34))}")\n`,
  "ci.sh": `export GH_TOKEN=${pieces("ghp_", chars(36))}\n`,
  "slack.toml": `token = "${pieces("xoxb-", "1".repeat(12), "-", chars(24))}"\n`,
  "openai.txt": `${pieces("sk-proj-", chars(48))}\n`,
  "openrouter.txt": `${pieces("sk-or-", "v1-", chars(64))}\n`,
  "deepseek.txt": `key: ${pieces("sk-", chars(32))}\n`,
  "grok.txt": `${pieces("xai-", chars(80))}\n`,
  "nim.txt": `${pieces("nvapi-", chars(64))}\n`,
  "traces.txt": `${pieces("lsv2_", "pt_", chars(32), "_", chars(10))}\n`,
  "wandb.sh": `export WANDB_API_KEY=${chars(40)}\n`,
  "mistral.json": JSON.stringify({ mistral_api_key: chars(32) }),
  "kaggle.py": `os.environ["KAGGLE_KEY"] = "${chars(32)}"\n`,
  "session.sh": `AWS_SESSION_TOKEN=${randomBytes(150).toString("base64")}\n`,
  "alembic.ini": `sqlalchemy.url = postgresql+psycopg2://trainer:${chars(12)}@db.corp.internal/runs\n`,
  "mongo.js": `connect("mongodb+srv://app:${chars(16)}@cluster0.mongodb.net/db")\n`,
  "settings.sh": `WEIGHLOCK_TOKEN=${chars(32)}\n`,
  "lines.ipynb": String.raw`{"source":["import os\n${pieces("hf_", chars(34))}\n"]}`,
  "tabs.json": String.raw`{"a":"x\t${pieces("ghp_", chars(36))}"}`,
  "quoted.js": String.raw`a = "\u0022${pieces("hf_", chars(34))}\u0022"`,
  "hex.py": String.raw`a = "\x22${pieces("hf_", chars(34))}\x22"`,
  "model.safetensors": safetensors({ __metadata__: { token: pieces("hf_", chars(34)) } }, 2),
  "late.safetensors": safetensors({ a: "x".repeat(200_000), token: pieces("hf_", chars(34)) }, 2),
  "old/.npmrc": `_auth = ${Buffer.from("me:secret").toString("base64")}\n`,
  "older/.npmrc": `username=me\n_password="${Buffer.from("secret12").toString("base64")}"\n`,
  "mirrored.csv": `Secret,Id\n${randomBytes(30).toString("base64")},${pieces("AKIA", "ABCDEFGH".repeat(2))}\n`,
  "mirrored.tfvars": `secret_key = "${randomBytes(30).toString("base64")}"\naccess_key = "${pieces("AKIA", "ABCDEFGH".repeat(2))}"\n`,
  "sas.txt": `https://a.blob.example/m?sv=2024-11-04&ss=b&se=2027-01-01&sig=${encodeURIComponent(randomBytes(32).toString("base64"))}\n`,
  "sas.json": String.raw`{"url":"https://a.example/m?sig=${encodeURIComponent(randomBytes(32).toString("base64"))}\u0026sv=2024-11-04"}`,
}

for (const [kind, files] of Object.entries({ keys, credentials })) {
  test(`${kind}: every one is named, and none of it is shown`, async () => {
    model(files)
    const message = await refusedPaths()
    for (const name of Object.keys(files)) assert.ok(message.includes(`${name} (`), `${name}: ${message}`)
    assert.ok(!message.includes("notes.txt"))
    for (const content of Object.values(files))
      for (const run of String(content)
        .match(/[A-Za-z0-9+/]{24,}/g)
        ?.slice(0, 20) ?? [])
        assert.ok(!message.includes(run))
  })
}

test("what openssl, ssh-keygen and gpg write, whatever the file is called", async (t) => {
  const made: Record<string, Buffer> = {}
  const sh = (script: string): boolean => {
    try {
      execFileSync("sh", ["-ec", script], {
        cwd: cli.folder,
        stdio: "pipe",
        env: { ...process.env, GNUPGHOME: cli.path("gpg") },
      })
      return true
    } catch {
      return false
    }
  }
  writeFileSync(cli.path("k.pem"), rsaPem)
  const certificate = "openssl req -x509 -new -key k.pem -subj /CN=x -days 2 -out c.pem"
  if (sh(`${certificate}; openssl pkcs12 -export -inkey k.pem -in c.pem -passout pass:x -out a.p12`))
    made["weights.bin"] = readFileSync(cli.path("a.p12"))
  if (sh("ssh-keygen -q -t ed25519 -N '' -f ssh; ssh-keygen -q -t rsa -m PEM -N secret -f ssh2")) {
    made["ssh"] = readFileSync(cli.path("ssh"))
    made["ssh2"] = readFileSync(cli.path("ssh2"))
  }
  const gpg = "gpg --batch --pinentry-mode loopback --passphrase ''"
  if (sh(`mkdir -m 700 gpg; ${gpg} --quick-gen-key x@example.org ed25519; ${gpg} --export-secret-keys > g.bin`)) {
    made["gpg.dat"] = readFileSync(cli.path("g.bin"))
    for (const [at, name] of readdirSync(cli.path("gpg", "private-keys-v1.d")).entries())
      made[`gpg${at}.txt`] = readFileSync(cli.path("gpg", "private-keys-v1.d", name))
  }
  if (Object.keys(made).length === 0) return t.skip("not checked: none of these tools is here")
  model(made)
  const message = await refusedPaths()
  for (const name of Object.keys(made)) assert.ok(message.includes(`${name} (`), `${name}: ${message}`)
})

const harmless: Files = {
  "public.pem": rsa.publicKey.export({ type: "spki", format: "pem" }),
  "public.der": rsa.publicKey.export({ type: "spki", format: "der" }),
  "public.jwk": JSON.stringify(ed.publicKey.export({ format: "jwk" })),
  "cert.pem": `${begin("CERTIFICATE")}\n${body64}-----END CERTIFICATE-----\n`,
  "ssh/id_rsa.pub": "ssh-rsa AAAA\n",
  "known.pub": `ssh-ed25519 ${randomBytes(51).toString("base64")} me@example.org\n`,
  ".env.example": "HF_TOKEN=\n",
  "prod.env.sample": "HF_TOKEN=\n",
  "environment.yml": "name: env\n",
  "model.py": [
    "self._password = password_of(user)",
    "db_password = os.environ['DB_PASSWORD']",
    "_auth = requests.auth.HTTPBasicAuth",
    "os.environ['WEIGHLOCK_TOKEN'] = get_token()",
    "secret_access_key = config['aws']['secret_access_key']",
    'token = "hf_" + "x" * 34',
    "weighlock_token = os.environ['X']",
    "WEIGHLOCK_TOKEN: /run/secrets/token",
    "  _authToken = undefined;",
    "wandb.login(key=os.environ['WANDB_API_KEY'])",
    "git clone https://user:password@github.com/x/y, https://host.example:8080/a@b, http://a:b@localhost/x",
    "openai_api_key = settings.providers.openai.api_key",
    "WANDB_API_KEY = os.environ['WANDB_API_KEY']",
    "hf_token = AutoTokenizer.from_pretrained(model_id_or_path_123)",
    "create_engine('postgresql://user:password@localhost:5432/db')",
    "url = f'postgres://{user}:{password}@{host}/db'",
    "redis://:$REDIS_PASSWORD@redis.corp.internal:6379",
    "mysql://root:mysecret@db.example.com/x, postgres://trainer@db.corp.internal/runs",
    "task-0123456789abcdef0123456789abcdef, risk-0123456789abcdef0123456789abcdef",
    "_auth = Oauth2Client",
    "_password = getpass()",
    "url = f'{base}?sv=2024-11-04&sig={signature}'",
  ].join("\n"),
  ".github/workflows/ci.yml": "env:\n  WEIGHLOCK_TOKEN: ${{ secrets.WEIGHLOCK_TOKEN }}\n",
  "ci/ci.yml": "env:\n  HF_TOKEN: ${{ secrets.HF_TOKEN }}\n  WEIGHLOCK_TOKEN: ${{ secrets.WEIGHLOCK_TOKEN }}\n",
  "env/readme.txt": "environment\n",
  ".npmrc": "registry=https://npm.example/\n//r.example/:_authToken=${NPM_TOKEN}\n",
  "README.md": [
    "export HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx, AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY, WEIGHLOCK_TOKEN=$TOKEN",
    `${begin("PRIVATE KEY")}\n...\n-----END PRIVATE KEY-----`,
    `${begin("RSA PRIVATE KEY")}\n<your key here>\n-----END RSA PRIVATE KEY-----`,
    `${begin("EC PRIVATE KEY")}\nMIIE…\n-----END EC PRIVATE KEY-----`,
    `a file begins with \`${begin("PRIVATE KEY")}\`, and ends with \`-----END PRIVATE KEY-----\``,
  ].join("\n\n"),
  "vocab.json": JSON.stringify({
    "-----BEGIN": 1,
    " PRIVATE": 2,
    " KEY": 3,
    [begin("RSA PRIVATE KEY")]: 4,
    "-----END": 5,
  }),
  "vocab.txt": `${begin("PRIVATE KEY")}\nthe\nof\nand\n${"to\nin\n".repeat(5000)}`,
  "merges.txt": "hf _\ngh p_\nA KIA\nsk -\nxo xb\n",
  "config.json": JSON.stringify({ model_type: "bert", d: 768, k: 4, auth: false, type: "service_account" }),
  "tokenizer.json": JSON.stringify({
    vocab: Object.fromEntries(Array.from({ length: 50_000 }, (_, i) => [`Ġ${i}`, i])),
  }),
  "weights.bin": randomBytes(24 * 2 ** 20),
  "small.bin": randomBytes(700_000),
  "text.b64": randomBytes(4 * 2 ** 20).toString("base64url"),
  "hex.txt": randomBytes(2 ** 20).toString("hex"),
  "empty.env": "",
}
test("what only looks like one is published: public keys, certificates, vocabularies, examples, random weights", async () => {
  model(harmless)
  assert.equal(await refusedPaths(), "")
})
test("a text of blank lines is searched in time that grows with it, not with its square", async () => {
  model({ "blank.txt": `_auth PrivateKey kind:\n${"\n".repeat(4 * 2 ** 20)}` })
  assert.equal(await refusedPaths(), "")
})
test("thousands of small random files: none is taken for a key", async () => {
  model(Object.fromEntries(Array.from({ length: 4000 }, (_, i) => [`w/${i}.bin`, randomBytes(64 + (i % 512))])))
  assert.equal(await refusedPaths(), "")
})

test("--include takes one exact path, and says so; the others are still refused", async () => {
  model({ "a/.env": "A=1\n", "b/.env": "A=1\n", "b/key.pem": pem })
  const message = await refusedPaths("--include", "a/.env", "--include", "./b/.env")
  assert.ok(message.includes("b/key.pem (") && !message.includes(".env"))
  const all = ["--include", "a/.env", "--include", "b/.env", "--include", "b/key.pem"]
  const { code, stderr } = await cli.run("sign", "model", "--as", "acme/x@1.0.0", "-o", "out.json", ...all)
  assert.equal(code, 0)
  assert.match(stderr, /warning: a\/\.env, b\/\.env: an environment file, taken because of --include/)
  for (const path of ["b", "*.env", ".env", "nothing", "../model/a/.env"])
    assert.deepEqual(await cli.refusal("sign", "model", "--as", "acme/x@1.0.0", "--include", path), {
      exit: 2,
      code: "USAGE",
    })
})
test("what is left out is not refused; sign refuses as publish does, and writes nothing", async () => {
  model({ ".env": "A=1\n", "key.pem": pem })
  const sign = ["sign", "model", "--as", "acme/x@1.0.0", "-o", "refused.json"]
  assert.deepEqual(await cli.refusal(...sign), { exit: 7, code: "SECRET_FOUND" })
  assert.ok(!readdirSync(cli.folder).includes("refused.json"))
  assert.deepEqual(await cli.refusal("sign", "model/.env", "--as", "acme/x@1.0.0"), { exit: 7, code: "SECRET_FOUND" })
  assert.equal(await refusedPaths("--exclude", ".env", "--exclude", "key.pem"), "")
  writeFileSync(cli.path("model/.weighlockignore"), ".env\n*.pem\n")
  assert.equal(await refusedPaths(), "")
})
test("our own keys: those of a registry, a witness, and of people", async () => {
  model({})
  cli.env["WEIGHLOCK_HOME"] = cli.path("model", "home")
  await cli.json("key", "new", "bob", "--no-passphrase")
  cli.env["WEIGHLOCK_HOME"] = cli.path("home")
  await cli.json("init", "model/reg", "--origin", "localhost", "--label", "carol", "--no-passphrase")
  const message = await refusedPaths("--key", "alice")
  for (const name of ["home/keys/bob.pem", "reg/log-key.pem"]) assert.ok(message.includes(name), message)
})
