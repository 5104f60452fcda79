/**
 * What is looked for in a text: tokens that say themselves whose they are, settings whose names do, and documents of a
 * known form.
 *
 *     hf_…                                                     a Hugging Face token
 *     {"kty":"OKP","crv":"Ed25519","x":"…","d":"…"}            a private key (JWK)
 *     aws_secret_access_key = …
 *
 * A token counts only where no letter or digit touches it, so that none is found inside base64; what an escape
 * ends with (`\n`) is none.
 */
import { isLoopbackHost } from "@weighlock/node"
import { secretByForm } from "./by-form.ts"
import { isPlaceholder } from "./placeholder.ts"

export interface Rule {
  readonly what: string
  /** One of these is in every text that the rule is about, spelled as here, or the text is not looked at. */
  readonly words: readonly string[]
  readonly found: (text: string) => boolean
}

// The `n` of `\n` and the digits of `\u0022` are letters only to who does not read the escape.
const tokenStart = String.raw`(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<=\\x[0-9a-fA-F]{2}))`

const vendors = [
  "hf|hugging_?face(?:_hub)?|openai|anthropic|azure_openai|cohere|mistral|gemini|google|groq|together|replicate|deepseek",
  "openrouter|fireworks|perplexity|xai|nvidia|ngc|wandb|comet|neptune|clearml|mlflow_tracking|kaggle|roboflow|pinecone",
  "langsmith|langchain|runpod|modal|lambda|vast|github|gh|gitlab|databricks|digitalocean|cloudflare|heroku|netlify",
].join("|")

const address =
  /(?<![A-Za-z0-9+])(?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|amqps?|clickhouse|mssql|https?|git|ftps?|sftp)(?:\+\w+)?:\/\/[^\s:@/"'`]{0,100}:([^\s@/"'`]{1,200})@([\w.[\]-]+)/g
const secretWords = ["secret", "Secret", "SECRET"]
export const rules: readonly Rule[] = [
  token("a Hugging Face token", ["hf_", "api_org_"], "(?:hf|api_org)_[A-Za-z0-9]{30,}"),
  token("a GitHub token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], "gh[pousr]_[A-Za-z0-9]{36,}"),
  token("a GitHub token", ["github_pat_"], "github_pat_[A-Za-z0-9_]{50,}"),
  token(
    "a GitLab token",
    ["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-"],
    "gl(?:pat|dt|rt|cbt|ptt|ft)-[\\w-]{20,}",
  ),
  token("an npm token", ["npm_"], "npm_[A-Za-z0-9]{36,}"),
  token("a PyPI token", ["pypi-AgE"], "pypi-AgE[\\w-]{50,}"),
  token("a Slack token", ["xox", "xapp-"], "xox[abeoprs]-[A-Za-z0-9-]{20,}|xapp-\\d-[A-Za-z0-9-]{20,}"),
  value("a Slack webhook", ["hooks.slack.com"], /hooks\.slack\.com\/services\/(T\w{6,}\/B\w{6,}\/\w{20,})/g),
  token(
    "an OpenAI key",
    ["sk-"],
    "sk-(?:proj|svcacct|admin|None)-[\\w-]{40,}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
  ),
  token("an API key", ["sk-"], "sk-(?:or-v1-)?(?:[a-f0-9]{32}|[a-f0-9]{64}|[A-Za-z0-9]{48})"),
  token("an Anthropic key", ["sk-ant-"], "sk-ant-[\\w-]{30,}"),
  token("a Groq key", ["gsk_"], "gsk_[A-Za-z0-9]{50,}"),
  token("a Replicate token", ["r8_"], "r8_[A-Za-z0-9]{37,}"),
  token("an xAI key", ["xai-"], "xai-[A-Za-z0-9]{60,}"),
  token("an NVIDIA key", ["nvapi-"], "nvapi-[\\w-]{60,}"),
  token("a Perplexity key", ["pplx-"], "pplx-[A-Za-z0-9]{40,}"),
  token("a Together key", ["tgp_v1_"], "tgp_v1_[\\w-]{40,}"),
  token("a LangSmith key", ["lsv2_"], "lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
  token("a Weights & Biases key", ["wandb_v1_"], "wandb_v1_\\w{60,}"),
  token("a Grafana token", ["glsa_"], "glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}"),
  token("a Sentry token", ["sntrys_"], "sntrys_[\\w+/=-]{60,}"),
  token("a Google access token", ["ya29."], "ya29\\.[\\w-]{60,}"),
  token("a Kaggle token", ["KGAT_"], "KGAT_[A-Za-z0-9]{32,}"),
  token("a Pinecone key", ["pcsk_"], "pcsk_\\w{40,}"),
  value("a Discord webhook", ["api/webhooks/"], /discord(?:app)?\.com\/api\/webhooks\/\d{15,}\/([\w-]{50,})/g),
  value(
    "a Weights & Biases key",
    ["wandb"],
    /wandb(?:\.login\(\s*(?:key\s*=\s*)?\\?["']|\s+login\s+(?:--\S+\s+)*)([a-f0-9]{40})(?![\w])/g,
  ),
  token("a Stripe key", ["k_live_"], "[rs]k_live_[A-Za-z0-9]{20,}"),
  token("a Google API key", ["AIza"], "AIza[\\w-]{35}"),
  token("a Google client secret", ["GOCSPX-"], "GOCSPX-[\\w-]{28}"),
  token("a SendGrid key", ["SG."], "SG\\.[\\w-]{22}\\.[\\w-]{43}"),
  token("a DigitalOcean token", ["_v1_"], "do[opr]_v1_[a-f0-9]{64}"),
  token("a Databricks token", ["dapi"], "dapi[a-f0-9]{32}"),
  token("a Vault token", ["hvs.", "hvb."], "hv[sb]\\.[\\w-]{24,}"),
  token("a Docker Hub token", ["dckr_pat_"], "dckr_pat_[\\w-]{27,}"),
  token("an age secret key", ["AGE-SECRET-KEY-"], "AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{50,}"),
  value("a note signer's key", ["PRIVATE+KEY+"], /PRIVATE\+KEY\+[^\s+]+\+[0-9a-f]{8}\+([A-Za-z0-9+/=]{40,})/g),
  value("an Azure storage key", ["AccountKey="], /AccountKey=([A-Za-z0-9+/]{86}==)/g),
  value("an Azure access key", ["SharedAccessKey="], /SharedAccessKey=([A-Za-z0-9+/]{43}=)/g),
  setting("an Azure storage key", ["_KEY", "_key"], "azure_storage_(?:account_)?key", "[A-Za-z0-9+/]{86}=="),
  setting("credentials for an npm registry", ["npmAuthToken"], "npmAuthToken", "[^\\s\"'$<{]{20,}"),
  setting("an Azure client secret", secretWords, "azure_client_secret", "[\\w.~-]{16,}"),
  setting(
    "an AWS secret key",
    secretWords,
    "(?:aws_?)?secret_?access_?key|aws_?secret_?key",
    "[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
  ),
  value(
    "an AWS secret key",
    ["AKIA", "ASIA"],
    /(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}[\s"',;:|]{1,20}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])/g,
  ),
  value(
    "an AWS secret key",
    ["AKIA", "ASIA"],
    /(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}[^]{1,200}?secret\w*["']?\s*(?:=>|[=:])\s*["']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])/gi,
  ),
  value(
    "an AWS secret key",
    ["AKIA", "ASIA"],
    /(?<![A-Za-z0-9/+])([A-Za-z0-9/+]{40})[\s"',;:|]{1,20}(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])/g,
  ),
  value(
    "an AWS secret key",
    ["AKIA", "ASIA"],
    /secret\w*["']?\s*(?:=>|[=:])\s*["']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])[^]{1,200}?(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])/gi,
  ),
  value(
    "a shared access signature for Azure",
    ["sig="],
    /(?<![A-Za-z0-9])sv=\d{4}-\d\d-\d\d[^\s"'<>]{0,500}?(?:[&;]|\\u0026)sig=([A-Za-z0-9%+/]{40,})/g,
  ),
  value(
    "a shared access signature for Azure",
    ["sig="],
    /(?<![A-Za-z0-9])sig=([A-Za-z0-9%+/]{40,})[^\s"'<>]{0,500}?(?:[&;]|\\u0026)sv=\d{4}-\d\d-\d\d/g,
  ),
  setting(
    "an AWS session token",
    ["session_token", "SESSION_TOKEN", "SessionToken"],
    "aws_?session_?token",
    "[A-Za-z0-9/+=]{100,}",
  ),
  // Of those whose keys look like any other word: the name says whose it is.
  setting(
    "a token or an API key",
    ["_KEY", "_TOKEN", "_key", "_token"],
    `(?<![A-Za-z0-9])(?:${vendors})_(?:api_?|hub_?|secret_?)?(?:key|token)`,
    "(?=(?:[A-Za-z_.-]*\\d){2})[\\w.-]{20,}",
  ),
  {
    what: "a password in an address",
    words: ["://"],
    found: (text) => [...text.matchAll(address)].some(isRealPassword),
  },
  setting(
    "a token of a Weighlock registry",
    ["WEIGHLOCK_TOKEN", "weighlock_token"],
    "weighlock_token",
    "(?![/.]|[A-Za-z_.]+[([])[^\\s\"'$<{()[\\]]{8,}",
  ),
  value(
    "credentials for an npm registry",
    ["_auth", "_password"],
    /^[ \t]*(?:(?:\/\/[^\s=]+:)?_authToken|\/\/[^\s=]+:_(?:auth|password))\s*=\s*"?([^\s"$]{8,})/gm,
  ),
  // As npm wrote them before 7, for whatever registry is set; source text has names like these.
  {
    what: "credentials for an npm registry",
    words: ["_auth", "_password"],
    found: (text) =>
      [...text.matchAll(/^[ \t]*_(auth|password)\s*=\s*"?([A-Za-z0-9+/]{8,}={0,2})"?\s*$/gm)].some(isNpmValue),
  },
  value("a WireGuard key", ["PrivateKey"], /^[ \t]*PrivateKey\s*=\s*([A-Za-z0-9+/]{43}=)\s*$/gm),
  // JSON may stand in a string, with its quotes escaped.
  all("a private key (JWK)", "kty", json("kty", '\\\\?"(?:EC|RSA|OKP|AKP)'), json("(?:d|priv)", '\\\\?"[\\w-]{16,}')),
  all("a secret key (JWK)", "kty", json("kty", '\\\\?"oct'), json("k", '\\\\?"[\\w-]{16,}')),
  all(
    "a Google service account key",
    "service_account",
    json("type", '\\\\?"service_account'),
    json("private_key", '\\\\?"[^"\\\\]{20,}'),
  ),
  all(
    "Google credentials",
    "authorized_user",
    json("type", '\\\\?"authorized_user'),
    json("refresh_token", '\\\\?"[^"\\\\]{20,}'),
  ),
  all(
    "credentials for container registries",
    "auths",
    json("auths", "\\{"),
    json("(?:auth|identitytoken|password)", '\\\\?"[^"\\\\]{8,}'),
  ),
  all(
    "Azure credentials",
    "enant",
    json("(?:tenantId|tenant)", '\\\\?"'),
    json("(?:clientSecret|password)", '\\\\?"[^"\\\\]{16,}'),
  ),
  all("an Ethereum key store", "kdfparams", json("ciphertext", '\\\\?"[0-9a-f]{32}'), json("kdfparams", "\\{")),
  all(
    "credentials for Kubernetes",
    "kind:",
    /^kind:\s*Config\b/m,
    /^[ \t]*(?:client-key-data|token|password):\s*["']?[\w.+/=-]{16,}/m,
  ),
  all(
    "credentials for Kubernetes",
    '"Config',
    json("kind", '\\\\?"Config'),
    json("(?:token|client-key-data|password)", '\\\\?"[^"\\\\]{16,}'),
  ),
  all(
    "a secret of Kubernetes",
    "kind: Secret",
    /^kind: Secret\s*$/m,
    /^[ \t]+[\w.-]+:[ \t]*["']?[A-Za-z0-9+/]{8,}={0,2}["']?[ \t]*$/m,
  ),
  all("credentials for a bucket", "secretKey", json("accessKey", '\\\\?"'), json("secretKey", '\\\\?"[^"\\\\]{16,}')),
  all("a private key (TUF)", "keyval", json("keytype", '\\\\?"'), json("private", '\\\\?"(?:[0-9a-f]{64}|-----BEGIN)')),
  {
    what: "credentials for container registries",
    words: ["dockerconfigjson"],
    found: (text) =>
      [...text.matchAll(/dockerconfigjson["']?\s*:\s*["']?([A-Za-z0-9+/]{40,}={0,2})/g)].some(([, packed = ""]) =>
        Buffer.from(packed, "base64").toString("latin1").includes('"auth'),
      ),
  },
  {
    what: "a private key (DER in base64)",
    words: ["MII", "MIG", "MIH", "MC4C", "MHcC", "MFEC"],
    found: (text) =>
      [...text.matchAll(/(?<![A-Za-z0-9+/])M[A-Z0-9][A-Za-z0-9+/]{60,8000}={0,2}(?![A-Za-z0-9+/=])/g)].some(
        ([packed]) => secretByForm(Buffer.from(packed, "base64")) !== null,
      ),
  },
  {
    what: "a private key (PEM)",
    words: ["PRIVATE%20KEY", "PRIVATE+KEY-----"],
    found: (text) => /-----BEGIN[%+ A-Z0-9]*PRIVATE(?:%20|\+)KEY-----(?:%0[AD])*[A-Za-z0-9+/%]{40}/i.test(text),
  },
  all("a PuTTY private key", "PuTTY-User-Key-File-", /^PuTTY-User-Key-File-\d: /m, /^Private-Lines: [1-9]/m),
  all("a GnuPG private key", "private-key", /^(?:Key: )?\((?:\d+:)?(?:protected-|openpgp-)?private-key/m),
  all("a minisign secret key", "untrusted comment", /^untrusted comment: (?:minisign|rsign|signify).*secret key/m),
  all("a DNSSEC private key", "Private-key-format", /^Private-key-format: v1/m, /^PrivateKey: \S{20,}/m),
]

function token(what: string, words: readonly string[], pattern: string): Rule {
  return value(what, words, new RegExp(`${tokenStart}(?:${pattern})(?![A-Za-z0-9])`, "g"))
}

/** The first group is the secret itself, which must not be a placeholder; without a group it is all of the match. */
function value(what: string, words: readonly string[], pattern: RegExp): Rule {
  const found = (text: string): boolean => {
    for (const [match, secret = match] of text.matchAll(pattern)) if (!isPlaceholder(secret)) return true
    return false
  }
  return { what, words, found }
}

/** `NAME=value`, `name: "value"`, `"name": "value"`, `os.environ["NAME"] = "value"`, `%env NAME value` */
function setting(what: string, words: readonly string[], name: string, pattern: string): Rule {
  const assigned = `\\\\?["']?\\s*(?:=>|[=:])\\s*\\\\?["']?|["']\\]?\\s*[=,]\\s*["']`
  const spaced = String.raw`(?<=(?:%env|%set_env|\bENV|\bsetx|\bconfigure set)[ \t]+)(?:${name})[ \t]+["']?`
  return value(what, words, new RegExp(`(?:${spaced}|(?:${name})(?:${assigned}))(${pattern})`, "gi"))
}

/** `_auth` is the base64 of `name:password`, `_password` that of a password. */
function isNpmValue([, name, text = ""]: RegExpExecArray): boolean {
  if (text.length % 4 !== 0 || isPlaceholder(text)) return false
  const plain = Buffer.from(text, "base64").toString("latin1")
  return /^[ -~]+$/.test(plain) && (name === "password" || plain.includes(":"))
}

function all(what: string, word: string, ...patterns: readonly RegExp[]): Rule {
  return { what, words: [word], found: (text) => patterns.every((pattern) => pattern.test(text)) }
}

function json(key: string, pattern: string): RegExp {
  return new RegExp(`\\\\?"${key}\\\\?"\\s*:\\s*${pattern}`)
}

/** Not `postgres://user:password@localhost`, `://$USER:$PASSWORD@`, `://<user>:<password>@`. */
function isRealPassword([, password = "", host = ""]: RegExpExecArray): boolean {
  if (isLoopbackHost(host) || /^(?:0\.0\.0\.0|host(?:name)?$|.*example)/i.test(host)) return false
  if (/^(?:user|admin|root|postgres|guest|test|pass|pwd|pw|secret|my)[\w-]*$/i.test(password)) return false
  return !/^[$<{[%]|^\*+$/.test(password) && !isPlaceholder(password)
}
