/** Folders whose entries survive a power cut: a new name is durable only after its folder is synced. */
import { mkdir, open } from "node:fs/promises"
import { dirname } from "node:path"

/** Makes a folder, by default for the owner only, with every missing parent, each entry durable. */
export async function makeFolder(path: string, mode = 0o700): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode })
  if (first === undefined) return
  for (let made = path; ; made = dirname(made)) {
    await syncFolder(dirname(made))
    if (made === first) return
  }
}

export async function syncFolder(path: string): Promise<void> {
  if (process.platform === "win32") return // a folder can't be opened there; NTFS journals its entries
  const folder = await open(path, "r")
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
