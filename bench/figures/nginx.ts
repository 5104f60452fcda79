/** nginx before a server, on loopback, with so many bytes a second for each connection: a network that others use too. */
import { spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"

import { programAt } from "./bench-context.ts"
import { end } from "./runs.ts"

export interface Front {
  readonly url: string
  stop(): Promise<void>
}

export interface FrontPlan {
  readonly upstream: string
  /** MiB/s on one connection. */
  readonly limit: number
  readonly port: number
}

// Debian keeps it where only root's PATH looks.
const program = (): string | null => programAt("nginx", "/usr/sbin/nginx")

export function noNginx(): string | null {
  return program() === null ? "nginx is not installed" : null
}

export async function startFront(folder: string, plan: FrontPlan): Promise<Front> {
  mkdirSync(join(folder, "temp"), { recursive: true })
  const file = join(folder, "nginx.conf")
  writeFileSync(file, settings(folder, plan))
  const child = spawn(program() ?? "nginx", ["-p", folder, "-e", join(folder, "error.log"), "-c", file], {
    stdio: "ignore",
  })
  const front = { url: `http://127.0.0.1:${plan.port}`, stop: () => end(child) }
  for (let tries = 0; tries < 100; tries++) {
    if (child.exitCode !== null) throw new Error(`nginx did not start; ${folder}/error.log says why`)
    if ((await fetch(front.url).catch(() => null)) !== null) return front
    await pause(50)
  }
  await front.stop()
  throw new Error("nginx does not answer")
}

/** The Host stays the client's: a bucket's signatures cover it. Nothing is written to disk on the way. */
const settings = (folder: string, { upstream, limit, port }: FrontPlan): string => `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${folder}/temp;
  proxy_temp_path ${folder}/temp;
  fastcgi_temp_path ${folder}/temp;
  uwsgi_temp_path ${folder}/temp;
  scgi_temp_path ${folder}/temp;
  client_max_body_size 0;
  upstream behind { server ${new URL(upstream).host}; keepalive 32; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://behind;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_buffers 16 128k;
      proxy_buffer_size 128k;
      proxy_busy_buffers_size 512k;
      proxy_max_temp_file_size 0;
      limit_rate ${limit}m;
    }
  }
}
`
