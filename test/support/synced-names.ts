/**
 * Which names a power cut would leave: those that were in their folder when it was synced. Nothing is faked: the folders are
 * really synced, and it is written down beside that what they held.
 */
import { mkdirSync, readdirSync, readlinkSync, statSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, relative } from "node:path"
import type { TestContext } from "node:test"

export class SyncedNames {
  readonly #durable = new Set<string>()

  /** From now to the end of the test. `null`, and the test is skipped, where there is no /proc to tell what a handle is of. */
  static async watch(t: TestContext): Promise<SyncedNames | null> {
    if (process.platform !== "linux") {
      t.skip("not checked: needs /proc")
      return null
    }
    const names = new SyncedNames()
    const handle = await open(tmpdir(), "r")
    const prototype = Object.getPrototypeOf(handle) as { sync: () => Promise<void> }
    await handle.close()
    const { sync } = prototype
    prototype.sync = async function (this: FileHandle) {
      names.#synced(readlinkSync(`/proc/self/fd/${this.fd}`))
      await Reflect.apply(sync, this, [])
    }
    t.after(() => (prototype.sync = sync))
    return names
  }

  #synced(path: string): void {
    if (statSync(path).isDirectory()) for (const name of readdirSync(path)) this.#durable.add(join(path, name))
    else this.#durable.add(path)
  }

  /** Files and folders below `folder`, and itself, whose name was never synced. */
  missing(folder: string): readonly string[] {
    mkdirSync(folder, { recursive: true })
    const below = readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name))
    return [folder, ...below].filter((path) => !this.#durable.has(path)).map((path) => relative(folder, path))
  }
}
