/**
 * Ends this process although a thread of it is stuck in a native call.
 *
 * `process.exit` waits for every thread to end first, and so for ever for such a one. Replacing the process by one that exits
 * at once does not (Node 22.15 and later; not on Windows); elsewhere the process kills itself, which its parent sees as 137.
 */
import process from "node:process"

export function endProcess(code: number): never {
  const { execve } = process as { readonly execve?: (file: string, args: string[], env: object) => never }
  if (execve !== undefined && process.platform !== "win32")
    execve(process.execPath, [process.execPath, "-e", `process.exit(${code})`], {})
  process.kill(process.pid, "SIGKILL")
  throw new Error("not reached")
}
