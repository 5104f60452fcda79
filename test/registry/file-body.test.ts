/** Blocks of a file whose memory is used again: what a reader has not let go of yet stays as it is. */
import assert from "node:assert/strict"
import { randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { test } from "node:test"
import { setTimeout as sleep } from "node:timers/promises"

import { FileBody } from "@weighlock/registry"
import { tempFolder } from "../support/temp.ts"

const block = 2 ** 17

for (const size of [0, 1, block - 1, block, block + 1, 2 * block, 5 * block + 77]) {
  for (const [start, end] of [
    [0, size - 1],
    [1, size - 2],
    [0, Number.MAX_SAFE_INTEGER],
  ] as const) {
    test(`bytes ${start} to ${end} of ${size}, by a reader who takes its time`, async (t) => {
      const bytes = randomBytes(size)
      const path = join(tempFolder(t), "x")
      writeFileSync(path, bytes)
      const body = new FileBody(await open(path), { start, end })
      const got: Buffer[] = []
      for await (const each of body) {
        await sleep(2) // the next block is read meanwhile
        got.push(Buffer.from(each))
      }
      assert.ok(Buffer.concat(got).equals(bytes.subarray(start, Math.max(start, end + 1))))
      await body.destroy()
    })
  }
}
