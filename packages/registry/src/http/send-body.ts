/** Sends bytes whose memory is used again: each block is on its way before the next one is asked for. */
import type { ServerResponse } from "node:http"

import type { BlobBody } from "../store/blobs.ts"

/** Ends the answer and the body, whatever happens. What reading throws, and a client that went away, are thrown on. */
export async function sendBody(body: BlobBody, response: ServerResponse): Promise<void> {
  const sending = new Sending(response)
  try {
    for await (const block of body) await sending.done((told) => response.write(block, told))
    await sending.done((told) => response.end(told))
  } catch (error) {
    response.destroy()
    throw error
  } finally {
    await body.destroy()
  }
}

type Told = (error?: Error | null) => void

class Sending {
  #isGone: boolean
  #fail: ((error: Error) => void) | null = null

  constructor(response: ServerResponse) {
    this.#isGone = response.destroyed
    response.once("close", () => {
      this.#isGone = true
      this.#fail?.(gone())
    })
  }

  /** A connection that is cut tells not every write of it. */
  async done(step: (told: Told) => void): Promise<void> {
    if (this.#isGone) throw gone()
    await new Promise<void>((resolve, reject) => {
      this.#fail = reject
      step((error) => (error ? reject(error) : resolve()))
    })
  }
}

function gone(): Error {
  return new Error("the client went away")
}
