/**
 * One tool a job: what packages/node does is done nowhere else, except where this list says why. Copies drift apart: of eight
 * writers of small files three forgot to sync their folder.
 */
import assert from "node:assert/strict"
import { globSync, readFileSync } from "node:fs"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

interface Job {
  /** How the job shows in the source. */
  readonly sign: RegExp
  readonly tool: string
  /** Path below packages/, and why the tool is not for it. */
  readonly elsewhere: Readonly<Record<string, string>>
}

const jobs: Readonly<Record<string, Job>> = {
  "files that must be whole after a kill": {
    sign: /\bopen\([^)]*"wx|\.(?:data)?sync\(\)|import \{[^}]*\b(?:rename|link|writeFile)\b[^}]*\} from "node:fs(?:\/promises)?"/,
    tool: "createFile, replaceFile, moveDurably, makeFolder, syncFile, syncFolder",
    elsewhere: {
      "cli/src/publishing/prepare.ts": "for one run, in a folder of its own that is removed",
      "client/src/cache.ts": "a cache is hashed whenever it is read: nothing in it is synced",
      "client/src/download.ts": "syncs large files while they arrive",
      "client/src/partials.ts": "names that say who downloads; nothing rests on them",
      "client/src/pull-model.ts": "gives a file of the cache a second name in a folder that is synced as a whole",
      "client/src/pull-target.ts": "moves what was synced into a mount point, entry by entry, and syncs that once",
      "registry/src/log/blob-copier.ts": "syncs large files",
      "registry/src/log/checkpoint-copy.ts": "writes in place, into slots in turn",
      "registry/src/store/staging.ts": "uploads on their way need not survive a power cut",
    },
  },
  "what loopback is": {
    sign: /127\\\.|127\.0\.0\.0"|startsWith\("127|=== "localhost"/,
    tool: "isLoopbackHost, isLoopbackAuthority",
    elsewhere: {
      "client/src/address.ts": "all addresses that are not public, for stores that a registry names",
      "registry/src/http/listen.ts": "says in its URL the name that it was told",
    },
  },
  "asking again": {
    sign: /Math\.random|\*\* *(?:attempt|failures|tries)/,
    tool: "retrying, backoffMs",
    elsewhere: {},
  },
  "worker threads": {
    sign: /new Worker\(|\bparentPort\b/,
    tool: "WorkerThread, serveOrders",
    elsewhere: {},
  },
  "flags of V8, which are the host's": {
    sign: /setFlagsFromString|expose-gc/,
    tool: "none: freeChunk of the client does without",
    elsewhere: {},
  },
  "small requests over HTTP": {
    sign: /import \{[^}]*\brequest\b[^}]*\} from "node:https?"|(?<![.#]|async )\bfetch\(/,
    tool: "HttpClient",
    elsewhere: {
      "cli/src/deploying/service-files.ts": "a health check in the text of a Containerfile",
      "runtime/src/serve/page.ts": "runs in a browser",
    },
  },
}

const root = fileURLToPath(new URL("../../packages/", import.meta.url))
const sources = globSync("*/src/**/*.ts", { cwd: root })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => !path.startsWith("node/"))

/** Without comments: they may speak of anything. */
const codeOf = (path: string): string => readFileSync(root + path, "utf8").replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "")

for (const [what, { sign, tool, elsewhere }] of Object.entries(jobs)) {
  test(`${what}: ${tool} of @weighlock/node, and nothing else`, () => {
    const own = sources.filter((path) => sign.test(codeOf(path))).toSorted()
    assert.deepEqual(own, Object.keys(elsewhere).toSorted())
  })
}
