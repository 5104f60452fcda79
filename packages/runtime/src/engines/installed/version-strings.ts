/** The versions that a library of onnxruntime names in its own text: `1.30.0` between two zeros. */
import { readFileSync } from "node:fs"

/** Throws what the file system does, also for a file of more than 2 GiB. */
export function versionsNamed(path: string): string[] {
  const text = readFileSync(path).toString("latin1")
  return [...new Set([...text.matchAll(/\0(1\.\d{1,3}\.\d{1,3})\0/g)].map(([, version = ""]) => version))]
}
