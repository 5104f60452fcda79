/**
 * Credentials that a text holds: tokens that say themselves whose they are, and documents of a known form.
 *
 *     hf_…                                                     a Hugging Face token
 *     {"kty":"OKP","crv":"Ed25519","x":"…","d":"…"}            a private key (JWK)
 *     aws_secret_access_key = …
 *
 * A token counts only where no letter or digit touches it, so that none is found inside base64.
 */
import { findPrivateKey } from "./pem.ts"
import { isPlaceholder } from "./placeholder.ts"

type Rule = readonly [what: string, pattern: RegExp]

/** The first group is the secret itself, which must not be a placeholder; without a group it is all of it. */
const tokens: readonly Rule[] = [
  ["a Hugging Face token", token("(?:hf|api_org)_[A-Za-z0-9]{30,}")],
  ["a GitHub token", token("gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}")],
  ["a GitLab token", token("gl(?:pat|dt|rt|cbt|ptt|ft|soat)-[\\w-]{20,}")],
  ["an npm token", token("npm_[A-Za-z0-9]{36,}")],
  ["a PyPI token", token("pypi-AgE[\\w-]{50,}")],
  ["a Slack token", token("xox[abeoprs]-[A-Za-z0-9-]{20,}|xapp-\\d-[A-Za-z0-9-]{20,}")],
  ["a Slack webhook", /hooks\.slack\.com\/services\/(T\w{6,}\/B\w{6,}\/\w{20,})/g],
  ["an OpenAI key", token("sk-(?:proj|svcacct|admin)-[\\w-]{40,}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}")],
  ["an Anthropic key", token("sk-ant-[\\w-]{30,}")],
  ["a Groq key", token("gsk_[A-Za-z0-9]{50,}")],
  ["a Replicate token", token("r8_[A-Za-z0-9]{37,}")],
  ["a Stripe key", token("[rs]k_live_[A-Za-z0-9]{20,}")],
  ["a Google API key", token("AIza[\\w-]{35}")],
  ["a Google client secret", token("GOCSPX-[\\w-]{28}")],
  ["a SendGrid key", token("SG\\.[\\w-]{22}\\.[\\w-]{43}")],
  ["a DigitalOcean token", token("do[opr]_v1_[a-f0-9]{64}")],
  ["a Databricks token", token("dapi[a-f0-9]{32}")],
  ["a Vault token", token("hv[sb]\\.[\\w-]{24,}")],
  ["a Docker Hub token", token("dckr_pat_[\\w-]{27,}")],
  ["an age secret key", token("AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{50,}")],
  ["a note signer's key", /PRIVATE\+KEY\+[^\s+]+\+[0-9a-f]{8}\+([A-Za-z0-9+/=]{40,})/g],
  ["an Azure storage key", /AccountKey=([A-Za-z0-9+/]{86}==)/g],
  ["an Azure access key", /SharedAccessKey=([A-Za-z0-9+/]{43}=)/g],
  ["an Azure client secret", setting("azure_client_secret", "[\\w.~-]{16,}")],
  [
    "an AWS secret key",
    setting("(?:aws_?)?secret_?access_?key|aws_?secret_?key", "[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"),
  ],
  ["an AWS secret key", /(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}[\s"',;:|]{1,20}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])/g],
  ["a token of a Weighlock registry", setting("weighlock_token", "[^\\s\"'$<{]{8,}")],
  ["credentials for an npm registry", /(?:_authToken|_password|^_auth)\s*=\s*"?([^\s"$]{8,})/gm],
  ["a WireGuard key", /^\s*PrivateKey\s*=\s*([A-Za-z0-9+/]{43}=)\s*$/gm],
]

/** Documents: all of the patterns must be there. JSON may stand in a string, with its quotes escaped. */
const documents: readonly (readonly [what: string, ...RegExp[]])[] = [
  ["a private key (JWK)", json("kty", '\\\\?"(?:EC|RSA|OKP|AKP)'), json("(?:d|priv)", '\\\\?"[\\w-]{16,}')],
  ["a secret key (JWK)", json("kty", '\\\\?"oct'), json("k", '\\\\?"[\\w-]{16,}')],
  ["a Google service account key", json("type", '\\\\?"service_account'), json("private_key", '\\\\?"[^"\\\\]{20,}')],
  ["Google credentials", json("type", '\\\\?"authorized_user'), json("refresh_token", '\\\\?"[^"\\\\]{20,}')],
  [
    "credentials for container registries",
    json("auths", "\\{"),
    json("(?:auth|identitytoken|password)", '\\\\?"[^"\\\\]{8,}'),
  ],
  [
    "Azure credentials",
    json("(?:tenantId|tenant)", '\\\\?"'),
    json("(?:clientSecret|password)", '\\\\?"[^"\\\\]{16,}'),
  ],
  ["an Ethereum key store", json("ciphertext", '\\\\?"[0-9a-f]{32}'), json("kdfparams", "\\{")],
  [
    "credentials for Kubernetes",
    /^kind:\s*Config\b/m,
    /^\s*(?:client-key-data|token|password):\s*["']?[\w.+/=-]{16,}/m,
  ],
  ["a PuTTY private key", /^PuTTY-User-Key-File-\d: /m, /^Private-Lines: [1-9]/m],
  ["a GnuPG private key", /^(?:Key: )?\((?:\d+:)?(?:protected-|openpgp-)?private-key/m],
  ["a minisign secret key", /^untrusted comment: (?:minisign|rsign|signify).*secret key/m],
  ["a DNSSEC private key", /^Private-key-format: v1/m, /^PrivateKey: \S{20,}/m],
]

/** What the text holds, or `null`. */
export function secretInText(text: string): string | null {
  const key = findPrivateKey(text)
  if (key !== null) return key
  for (const [what, pattern] of tokens)
    for (const [all, secret = all] of text.matchAll(pattern)) if (!isPlaceholder(secret)) return what
  return documents.find(([, ...patterns]) => patterns.every((pattern) => pattern.test(text)))?.[0] ?? null
}

function token(pattern: string): RegExp {
  return new RegExp(`(?<![A-Za-z0-9_-])(?:${pattern})(?![A-Za-z0-9])`, "g")
}

/** `NAME=value`, `name: "value"`, `"name": "value"` */
function setting(name: string, value: string): RegExp {
  return new RegExp(`(?:${name})\\\\?["']?\\s*(?:=>|[=:])\\s*\\\\?["']?(${value})`, "gi")
}

function json(key: string, value: string): RegExp {
  return new RegExp(`\\\\?"${key}\\\\?"\\s*:\\s*${value}`)
}
