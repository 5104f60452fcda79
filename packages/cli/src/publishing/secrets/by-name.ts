/** Files that hold credentials by what they are called, whatever is in them. */

/** Ends of paths, in lower case. */
const byName: readonly (readonly [RegExp, string])[] = [
  [/(?:^|\/)\.envrc$/, "an environment file"],
  [/(?:^|\/)id_(?:rsa|dsa|ecdsa|ed25519|ecdsa_sk|ed25519_sk)$|\.ppk$/, "a private key (SSH)"],
  [/\.(?:p12|pfx)$/, "a key store (PKCS#12)"],
  [/\.(?:jks|jceks|keystore)$/, "a Java key store"],
  [/\.kdbx?$/, "a KeePass database"],
  [/(?:^|\/)\.aws\/credentials$/, "AWS credentials"],
  [/(?:^|\/)[._]?netrc$/, "passwords for hosts"],
  [/(?:^|\/)\.git-credentials$/, "Git credentials"],
  [/(?:^|\/)\.pypirc$/, "credentials for PyPI"],
  [/(?:^|\/)\.pgpass$/, "database passwords"],
  [/(?:^|\/)\.vault-token$/, "a Vault token"],
  [/(?:^|\/)\.huggingface\/(?:stored_)?tokens?$/, "a Hugging Face token"],
  [/(?:^|\/)huggingface\/(?:stored_)?tokens?$/, "a Hugging Face token"],
  [/(?:^|\/)\.docker\/config\.json$/, "credentials for container registries"],
  [/(?:^|\/)\.dockercfg$/, "credentials for container registries"],
  [/(?:^|\/)\.kube\/config$/, "credentials for Kubernetes"],
  [/(?:^|\/)\.kaggle\/kaggle\.json$|(?:^|\/)kaggle\.json$/, "a Kaggle token"],
  [
    /(?:^|\/)\.azure\/(?:accesstokens\.json|msal_token_cache\.(?:json|bin)|service_principal_entries\.json)$/,
    "Azure credentials",
  ],
  [
    /(?:^|\/)gcloud\/(?:credentials\.db|access_tokens\.db|application_default_credentials\.json)$/,
    "Google credentials",
  ],
  [/(?:^|\/)\.streamlit\/secrets\.toml$/, "secrets of a Streamlit app"],
  [/(?:^|\/)\.modal\.toml$/, "a token for Modal"],
  [/(?:^|\/)\.ngc\/config$/, "a key for NVIDIA NGC"],
  [/(?:^|\/)\.?rclone\.conf$/, "credentials for buckets"],
  [/(?:^|\/)(?:clearml\.conf|\.comet\.config)$/, "a key for an experiment tracker"],
  [/(?:^|\/)\.s3cfg$|(?:^|\/)\.boto$/, "credentials for a bucket"],
]

// `.env`, `.env.local`, `prod.env`: not those that are there to be copied, `.env.example`.
const environment = /(?:^|\/)\.(?:flask)?env(?:[.~_ -][^/]*|[0-9]+)?$|\.env$/
const toBeCopied = /(?:example|sample|template|dist)(?:\.|$)/

/** What the file is, or `null`. An empty file gives nothing away. */
export function secretByName(path: string, size: number): string | null {
  if (size === 0) return null
  const lower = path.toLowerCase()
  const name = lower.slice(lower.lastIndexOf("/") + 1)
  if (environment.test(lower) && !toBeCopied.test(name)) return "an environment file"
  return byName.find(([pattern]) => pattern.test(lower))?.[1] ?? null
}
