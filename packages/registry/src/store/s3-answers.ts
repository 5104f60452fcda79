/** The SDK keeps a whole answer in memory before it reads the XML: no longer one than any that S3 gives is let through. */
import { type Readable, Transform, pipeline } from "node:stream"

import type { S3Client } from "@aws-sdk/client-s3"

/** Bytes. A page of 1,000 keys has a few MB at most. */
const most = 16 * 2 ** 20

/** All but the bodies of objects, which their readers count. */
export function capAnswers(client: S3Client): S3Client {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args)
        const response = result.response as { statusCode: number; body?: Readable }
        const isObject = commandName === "GetObjectCommand" && response.statusCode < 300
        if (response.body && !isObject) response.body = capped(response.body)
        return result
      },
    { step: "deserialize", priority: "low", name: "capAnswers" },
  )
  return client
}

function capped(body: Readable): Readable {
  let left = most
  const cap = new Transform({
    transform(chunk: Buffer, _, done) {
      left -= chunk.length
      if (left < 0) done(new Error("AnswerTooLong"))
      else done(null, chunk)
    },
  })
  return pipeline(body, cap, () => undefined)
}
