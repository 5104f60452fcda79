/** What `--device` takes beside `auto`, `gpu` and `cpu`, fastest first. */
export const engineNames = ["tfjs-node-gpu", "wasm", "js"] as const

export type EngineName = (typeof engineNames)[number]
