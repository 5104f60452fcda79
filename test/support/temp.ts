/** A folder of its own for each test, gone afterwards; and a disk of a few MiB where the system lets us make one. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "node:test"

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-test-"))
  t.after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
  return folder
}

/** Mounts a tmpfs of `size` (as mount spells it) on a fresh folder; skips the test, saying why, where that is not allowed. */
export function smallDisk(t: TestContext, size: string): string | null {
  const folder = mkdtempSync(join(tmpdir(), "weighlock-disk-"))
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=0700`, "tmpfs", folder], { stdio: "pipe" })
  } catch {
    rmSync(folder, { recursive: true })
    t.skip("not checked: mounting a small disk needs root")
    return null
  }
  t.after(() => {
    execFileSync("umount", ["-l", folder])
    rmSync(folder, { recursive: true })
  })
  return folder
}

/** A folder that another of the same disk is mounted on; skips the test, saying why, where that is not allowed. */
export function boundFolder(t: TestContext): string | null {
  const [folder, other] = [mkdtempSync(join(tmpdir(), "weighlock-bound-")), tempFolder(t)]
  try {
    execFileSync("mount", ["--bind", other, folder], { stdio: "pipe" })
  } catch {
    rmSync(folder, { recursive: true })
    t.skip("not checked: mounting a folder needs root")
    return null
  }
  t.after(() => {
    execFileSync("umount", ["-l", folder])
    rmSync(folder, { recursive: true })
  })
  return folder
}

/** The code of what `run` throws, or "none". */
export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
    return "none"
  } catch (error) {
    return String((error as { code?: unknown }).code)
  }
}
