/** The user's own folder, where there is one. */
import { homedir } from "node:os"

/** `null` for a user without a passwd entry, in a container for example, whose environment names no HOME. */
export function homeFolder(env: Readonly<Record<string, string | undefined>> = process.env): string | null {
  if ((env["HOME"] ?? "") !== "") return env["HOME"] ?? null
  try {
    return homedir()
  } catch {
    return null
  }
}
