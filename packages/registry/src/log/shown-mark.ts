/**
 * Remembers, over restarts, that readers may have been shown checkpoints that no quorum of witnesses has signed:
 *
 *     DATA/unwitnessed      there since a start with `--witness degrade`
 *
 * A registry that is then started with `require` must not show less. It shows the newest as it was, until the witnesses have
 * caught up with that; from then on nothing needs to be remembered.
 */
import { access, rm } from "node:fs/promises"
import { join } from "node:path"

import { createFile } from "@weighlock/node"
import type { WitnessMode } from "./served.ts"

export class ShownMark {
  readonly #path: string
  #isThere: boolean

  private constructor(path: string, isThere: boolean) {
    this.#path = path
    this.#isThere = isThere
  }

  /** As the last run left it; made, durably, where this run shows what no quorum has signed. */
  static async open(data: string, mode: WitnessMode): Promise<ShownMark> {
    const path = join(data, "unwitnessed")
    const isThere = await access(path).then(
      () => true,
      () => false,
    )
    if (isThere || mode === "require") return new ShownMark(path, isThere)
    await createFile(path, "", { mode: 0o644 })
    return new ShownMark(path, true)
  }

  get isThere(): boolean {
    return this.#isThere
  }

  /** Where that fails, the next start shows the newest as it is by then: that is not less. */
  async remove(): Promise<void> {
    if (!this.#isThere) return
    this.#isThere = false
    await rm(this.#path, { force: true }).catch(() => undefined)
  }
}
