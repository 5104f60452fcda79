/** Asks on stderr and reads a line from the terminal without showing it. */
import { CliError } from "./errors.ts"
import type { Io } from "./io.ts"

export async function askHidden({ stdin, stderr }: Io, question: string): Promise<string> {
  stderr.write(question)
  stdin.setRawMode?.(true)
  try {
    return await readLine(stdin)
  } finally {
    stdin.setRawMode?.(false)
    stdin.pause()
    stderr.write("\n")
  }
}

function readLine(stdin: Io["stdin"]): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = ""
    const finish = (settle: () => void): void => {
      stdin.off("data", onData)
      settle()
    }
    const onData = (chunk: Buffer | string): void => {
      for (const key of chunk.toString("utf8")) {
        if (key === "\r" || key === "\n") return finish(() => resolve(line))
        if (key === "\u0003") return finish(() => reject(new CliError("INTERRUPTED", "stopped")))
        line = key === "\u007f" || key === "\b" ? line.slice(0, -1) : line + key
      }
    }
    stdin.on("data", onData)
    stdin.resume()
  })
}
