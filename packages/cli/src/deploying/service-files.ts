/**
 * The files of a service whose source pins the digest of its model.
 *
 *     service.mjs        loads that manifest and no other, then serves it
 *     trust.json         the trust root that it was deployed with
 *     package.json, Containerfile, kubernetes.yaml, README.md
 */
import type { Manifest } from "@weighlock/manifest"

export interface ServiceParts {
  readonly manifest: Pick<Manifest, "model" | "version" | "digest" | "format">
  /** Where to ask for it; may be changed later, by WEIGHLOCK_REGISTRY. */
  readonly registry: string | undefined
  /** The bytes of the trust root's file, or its pin. */
  readonly trust: Uint8Array | string
  /** Of the packages. */
  readonly version: string
  readonly port: number
}

/** By name. */
export function serviceFiles(parts: ServiceParts): Map<string, Uint8Array | string> {
  const { trust } = parts
  return new Map<string, Uint8Array | string>([
    ["service.mjs", sourceOf(parts)],
    ["package.json", `${JSON.stringify(packageOf(parts), null, 2)}\n`],
    ["Containerfile", containerfileOf(parts)],
    [".dockerignore", "node_modules\n"],
    ["kubernetes.yaml", kubernetesOf(parts)],
    ["README.md", readmeOf(parts)],
    ...(typeof trust === "string" ? [] : [["trust.json", trust] as const]),
  ])
}

const nameOf = ({ manifest }: ServiceParts): string => manifest.model.slice(manifest.model.indexOf("/") + 1)

function sourceOf(parts: ServiceParts): string {
  const { manifest, registry, trust, port } = parts
  const trusted =
    typeof trust === "string" ? JSON.stringify(trust) : `fileURLToPath(new URL("trust.json", import.meta.url))`
  return `/**
 * ${manifest.model}@${manifest.version}, and nothing else: the digest of its signed manifest stands in this source. Whoever
 * can write the bucket, or runs the registry, can't change what is served.
 *
 *     node service.mjs
 *     curl -d '[[0,0,…],…]' http://127.0.0.1:${port}/v1/algo/${manifest.model}      {"result":{…}}
 *
 * PORT, HOST, WEIGHLOCK_REGISTRY, WEIGHLOCK_DEVICE, WEIGHLOCK_TOKEN, WEIGHLOCK_HOME and WEIGHLOCK_CACHE are read.
 */
import { realpathSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { loadModel, serveModels } from "@weighlock/runtime"

export const model = ${JSON.stringify(`${manifest.model}@sha256:${manifest.digest}`)}
const name = ${JSON.stringify(nameOf(parts))}
const trust = ${trusted}
const registry = process.env.WEIGHLOCK_REGISTRY || ${JSON.stringify(registry ?? null)} || undefined

/** Resolves when the model is verified, loaded and served; rejects with a code before anything is listened on. */
export async function start({ host = "127.0.0.1", port = ${port}, device = "auto", ...options } = {}) {
  const loaded = await loadModel(model, { trust, ...(registry && { registry }), device, ...options })
  const serving = await serveModels([{ name, model: loaded }], { host, port, page: true })
  const close = async () => {
    await serving.close()
    await loaded.dispose()
  }
  return { url: serving.url, manifest: \`sha256:\${loaded.manifest.digest}\`, engine: loaded.engine, failed: serving.failed, close }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { PORT, HOST, WEIGHLOCK_DEVICE } = process.env
  const refused = (error) => {
    console.error(\`error: \${error.code ?? "INTERNAL"}: \${error.message}\`)
    process.exit(1)
  }
  const service = await start({
    ...(PORT && { port: Number(PORT) }),
    ...(HOST && { host: HOST }),
    ...(WEIGHLOCK_DEVICE && { device: WEIGHLOCK_DEVICE }),
  }).catch(refused)
  console.log(JSON.stringify({ url: service.url, pid: process.pid, manifest: service.manifest }))
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => service.close().then(() => process.exit(0), refused))
  // An engine that never answers again is for a supervisor to start anew.
  service.failed.then(() => process.kill(process.pid, "SIGKILL"))
}
`
}

function packageOf(parts: ServiceParts): object {
  const { manifest, version } = parts
  return {
    name: `${nameOf(parts)}-service`,
    version: manifest.version,
    private: true,
    type: "module",
    scripts: { start: "node service.mjs" },
    dependencies: { "@weighlock/runtime": version },
    engines: { node: ">=22.13" },
  }
}

const isOnnx = ({ manifest }: ServiceParts): boolean => manifest.format === "onnx"

function containerfileOf(parts: ServiceParts): string {
  const { port, version } = parts
  const engine = isOnnx(parts)
    ? `RUN WEIGHLOCK_ENGINES=/app/engines npx -y @weighlock/cli@${version} engine add onnxruntime\nENV WEIGHLOCK_ENGINES=/app/engines\n`
    : ""
  return `# podman build -t ${nameOf(parts)}-service . && podman run --read-only --tmpfs /var/lib/weighlock -p ${port}:${port} ${nameOf(parts)}-service
FROM node:26-bookworm-slim
WORKDIR /app
COPY package.json ./
RUN npm install --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
${engine}COPY . .
RUN useradd --uid 10001 --user-group --home-dir /nonexistent --shell /usr/sbin/nologin weighlock \\
 && install -d -o weighlock -g weighlock -m 0700 /var/lib/weighlock
USER 10001:10001
ENV NODE_ENV=production HOST=0.0.0.0 PORT=${port} WEIGHLOCK_HOME=/var/lib/weighlock/home WEIGHLOCK_CACHE=/var/lib/weighlock/cache
EXPOSE ${port}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s CMD ["node", "-e", "fetch('http://127.0.0.1:${port}/readyz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "service.mjs"]
`
}

function kubernetesOf(parts: ServiceParts): string {
  const { port, registry, manifest } = parts
  // Names of Kubernetes have no dot and no underscore.
  const name = `${nameOf(parts).replaceAll(/[._]+/g, "-")}-service`
  return `# ${manifest.model}@sha256:${manifest.digest}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  replicas: 1
  selector:
    matchLabels: { app: ${name} }
  template:
    metadata:
      labels: { app: ${name} }
    spec:
      automountServiceAccountToken: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        fsGroup: 10001
        seccompProfile: { type: RuntimeDefault }
      containers:
        - name: service
          image: registry.example/${name}:${manifest.version}
          ports: [{ containerPort: ${port} }]
          env:
            - { name: WEIGHLOCK_REGISTRY, value: ${JSON.stringify(registry ?? "https://models.example")} }
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: { drop: [ALL] }
          startupProbe: { httpGet: { path: /readyz, port: ${port} }, periodSeconds: 2, failureThreshold: 150 }
          readinessProbe: { httpGet: { path: /readyz, port: ${port} } }
          livenessProbe: { httpGet: { path: /healthz, port: ${port} } }
          volumeMounts: [{ name: state, mountPath: /var/lib/weighlock }]
      volumes: [{ name: state, emptyDir: {} }]
---
apiVersion: v1
kind: Service
metadata:
  name: ${name}
spec:
  selector: { app: ${name} }
  ports: [{ port: 80, targetPort: ${port} }]
`
}

function readmeOf(parts: ServiceParts): string {
  const { manifest, port } = parts
  return `# ${nameOf(parts)}-service

Serves ${manifest.model}@${manifest.version}, pinned by its manifest: \`sha256:${manifest.digest}\`.

\`\`\`sh
npm install && npm start                                        # or: podman build -t ${nameOf(parts)}-service .
curl -d @instance.json http://127.0.0.1:${port}/v1/algo/${manifest.model}
\`\`\`

http://127.0.0.1:${port}/ is a page to try it. Pages of other origins are refused; programs are not asked who they are: listen on
loopback, or put a proxy in front. Another model is another source: \`weighlock deploy\` writes it.
`
}
