export { createFile, type FileOptions, isTemporary, replaceFile, temporaryIn } from "./durable-file.ts"
export { makeFolder, moveDurably, syncFile, syncFolder } from "./durable-folder.ts"
export { endProcess } from "./end-process.ts"
export { NodeError, type NodeErrorCode, nodeErrorCodes } from "./errors.ts"
export { FileHasher, type FileDigests, type FileHasherOptions, type HashOptions } from "./hashing/file-hasher.ts"
export type { Hashed, Reading, ReadOptions } from "./hashing/reading.ts"
export { homeFolder } from "./home-folder.ts"
export { isLoopbackAuthority, isLoopbackHost } from "./loopback.ts"
export { type HttpAnswer, HttpClient, type HttpClientOptions, type HttpRequest } from "./http-client.ts"
export { forEach, Limiter, type LimiterOptions } from "./limiter.ts"
export { pause } from "./pause.ts"
export { type Proxy, proxyFor } from "./proxy.ts"
export { readAtMost } from "./read-at-most.ts"
export { readWhole } from "./read-whole.ts"
export {
  type Alive,
  type Backoff,
  backoffMs,
  defaultBackoff,
  parseRetryAfter,
  retrying,
  type RetryOptions,
} from "./retry.ts"
export { SerialQueue } from "./serial-queue.ts"
export { Moved, serveOrders } from "./serve-orders.ts"
export type { Thrown } from "./thread-messages.ts"
export { leastBusy, workerFile, WorkerThread, type WorkerThreadOptions } from "./worker-thread.ts"
